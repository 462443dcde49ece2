"""CSV of any form is read with a few hundred MB: what each row becomes is told too."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from clickpipe.ingest import Dialect, read_file
from clickpipe.runtime import Workspace

SIZE = 6_000_000
WIDE = ["id", *(f"c{number}" for number in range(200))]
FORMS: dict[str, tuple[list[str], Callable[[], bytes], tuple[int, int]]] = {
    "one row of commas": (["id", "t"], lambda: b"," * SIZE, (0, 1)),
    "one row of short fields": (["id", "t"], lambda: b"ab," * (SIZE // 3), (0, 1)),
    "one row of empty quotes": (["id", "t"], lambda: b'"",' * (SIZE // 3), (0, 1)),
    "rows of a thousand commas": (["id", "t"], lambda: (b"," * 1_000 + b"\n") * (SIZE // 1_001), (0, 5_994)),
    "very many short rows": (["id", "t"], lambda: b"1,a\n" * (SIZE // 4), (1_500_000, 0)),
    "one short row among them": (["id", "t"], lambda: b"1,a\n" * (SIZE // 4) + b"1\n", (1_500_000, 1)),
    "rows that begin with blanks": (["id", "t"], lambda: b" 1,a\n" * (SIZE // 5), (1_200_000, 0)),
    "line ends alone": (["id", "t"], lambda: b"\n" * SIZE, (0, 0)),
    "a large text": (["id", "t"], lambda: b'1,"' + b"x" * SIZE + b'"\n', (1, 0)),
    "a text of line ends": (["id", "t"], lambda: b'1,"' + b"\n" * SIZE + b'"\n', (1, 0)),
    "a text of quotes": (["id", "t"], lambda: b'1,"' + b'""' * (SIZE // 2) + b'"\n', (1, 0)),
    "a quote that stays open": (["id", "t"], lambda: b'1,"' + b"\n" * SIZE, (0, 1)),
    "wide rows": (WIDE, lambda: (b"1" + b",ab" * 200 + b"\n") * (SIZE // 602), (9_966, 0)),
    "a wide row with a large text": (WIDE, lambda: b"1" + b",a" * 199 + b',"' + b"x" * SIZE + b'"\n', (1, 0)),
    "a wide row of commas": (WIDE, lambda: b"," * SIZE, (0, 1)),
}


def kilobytes(what: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{what}:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_it_takes_a_few_hundred_megabytes(workspace: Workspace, tmp_path: Path, form: str) -> None:
    columns, made, told = FORMS[form]
    lines = ",\n".join(f"    {name} {'String' if name != 'id' else 'UInt64'}" for name in columns)
    workspace.deploy({"e.datasource": f"SCHEMA >\n{lines}\nENGINE_SORTING_KEY id\n"})
    source = workspace.queries.live().compiled.data_sources["e"]
    file = tmp_path / "file.csv"
    file.write_bytes(made())
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest so far is forgotten
    before = kilobytes("VmRSS")
    with read_file(file, "csv", source, Dialect()) as rows:
        result = workspace.append("e", rows)
    assert (result.successful_rows, result.quarantined_rows) == told
    assert kilobytes("VmHWM") - before < 300_000


def test_rows_of_very_many_fields_are_kept_whole(workspace: Workspace, tmp_path: Path) -> None:
    workspace.deploy({"e.datasource": "SCHEMA >\n    id UInt64,\n    t String\nENGINE_SORTING_KEY id\n"})
    source = workspace.queries.live().compiled.data_sources["e"]
    file = tmp_path / "file.csv"
    text = '"a,b","line\nend",é,' * 4_000 + "last"
    file.write_text(f"1,x\n{text}\n2,y\n", encoding="utf-8")
    with read_file(file, "csv", source, Dialect()) as rows:
        result = workspace.append("e", rows)
    assert (result.successful_rows, result.quarantined_rows) == (2, 1)
    kept = workspace.sql("SELECT c__error[1] AS why FROM e_quarantine")[0]["why"]
    whole = text.replace("line\nend", "line\\nend")
    assert kept.endswith(f"a row of 12001 fields where 2 are expected: {whole}")
