"""Where a part of a file ends hangs on the file alone: an import that is cut off goes on by how many parts it took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.engine import Engine, Settings
from clickpipe.ingest import Dialect, json_file, read_file
from clickpipe.project import DataSource
from tests.conftest import Compile

ROWS = 2_000
BEFORE = "SCHEMA >\n    id UInt64 `json:$.id`,\n    note String `json:$.note`\n"
# What a deployment between may change: columns, their order, a type that a file's does not have.
AFTER = {
    "the same": BEFORE,
    "a column more": BEFORE.rstrip() + ",\n    more Nullable(Int32) `json:$.more`\n",
    "another order": "SCHEMA >\n    note String `json:$.note`,\n    id UInt64 `json:$.id`\n",
    "other types": "SCHEMA >\n    id String `json:$.id`,\n    note Nullable(String) `json:$.note`\n",
    "lists": "SCHEMA >\n    id Array(UInt64) `json:$.id[:]`,\n    note String `json:$.note`\n",
    "a column less": "SCHEMA >\n    note String `json:$.note`\n",
}


def _note(number: int) -> str:
    """Return a text, in some rows of two lines."""
    return "x" * (number % 97) + ("" if number % 5 else "\n")


TEXTS = {
    "ndjson": "\n".join(json.dumps({"id": n, "note": "x" * (n % 97)}) for n in range(ROWS)),
    "json": json.dumps([{"id": n, "note": "x" * (n % 97)} for n in range(ROWS)]),
    "csv": "id,note\n" + "".join(f'{n},"{_note(n)}"\n' for n in range(ROWS)),
}


@pytest.fixture
def path(form: str, engine: Engine, tmp_path: Path) -> Path:
    found = tmp_path / "file"
    groups: Settings = {"output_format_parquet_row_group_size": 150, "max_block_size": 150}
    sql = f"SELECT number AS id, repeat('x', number % 97) AS note FROM numbers({ROWS})"
    body = TEXTS[form].encode() if form in TEXTS else engine.execute(sql, output="Parquet", settings=groups).body
    found.write_bytes(body)
    return found


def parts(path: Path, form: str, source: DataSource) -> list[bytes]:
    with read_file(path, form, source, Dialect()) as rows:
        return [part.data for part in rows.parts if part.data]


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("form", [*TEXTS, "parquet"])
def test_parts_are_the_same_after_a_deployment(
    compile_files: Compile, monkeypatch: pytest.MonkeyPatch, path: Path, form: str, after: str
) -> None:
    monkeypatch.setattr(json_file, "_CHUNK", 10_000)
    monkeypatch.setattr("clickpipe.ingest.csv_rows._CHUNK", 10_000)
    monkeypatch.setattr("clickpipe.ingest.json_file._CHUNK", 10_000)
    sources = [compile_files({"e.datasource": schema}).data_sources["e"] for schema in (BEFORE, AFTER[after])]
    before, then = (parts(path, form, source) for source in sources)
    assert len(before) > 5
    assert before == then
