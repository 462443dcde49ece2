"""CSV files: how they are laid out, what of them is stored, and what goes to quarantine."""

from __future__ import annotations

import io
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, NoSlot, spool
from clickpipe.ingest import Dialect, csv_rows, read_file
from clickpipe.ingest.csv_rows import csv_parts
from clickpipe.ingest.dialect import Names, matched
from clickpipe.project import DataSource
from clickpipe.query import FORMATS
from clickpipe.runtime import Instance, Workspace

SCHEMA = "SCHEMA >\n    id String,\n    n Int32,\n    note Nullable(String)\n\nENGINE_SORTING_KEY id\n"


@pytest.fixture
def events(workspace: Workspace) -> Workspace:
    workspace.deploy({"e.datasource": SCHEMA})
    return workspace


def source_of(workspace: Workspace, name: str = "e") -> DataSource:
    return workspace.queries.live().compiled.data_sources[name]


def load(workspace: Workspace, path: Path, data: str | bytes, dialect: Dialect | None = None) -> dict[str, Any]:
    """Append a file; return what went where, and what the import says of its header."""
    file = path / "file.csv"
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    with read_file(file, "csv", source_of(workspace), dialect or Dialect()) as rows:
        workspace.append("e", rows)
        told = rows.layout.as_dict() if rows.layout else {}
    stored = workspace.sql("SELECT * FROM e ORDER BY ALL")
    kept = workspace.sql("SELECT c__error FROM e_quarantine ORDER BY c__error")
    return {"rows": [list(row.values()) for row in stored], "quarantine": [row["c__error"] for row in kept], **told}


def broken(*texts: str) -> dict[str, Any]:
    return {"rows": [], "quarantine": [[text] for text in texts]}


def undecoded(text: str) -> list[list[str]]:
    return [[f"a row with bytes that are not in the file's charset: {text}"]]


GOOD = {"rows": [["a", 1, "x"]], "quarantine": []}


@pytest.mark.parametrize(
    ("text", "dialect", "expected"),
    [
        ("a,1,x\n", Dialect(), GOOD),
        ("a,1,x", Dialect(), GOOD),
        ("id,n,note\na,1,x\n", Dialect(), GOOD),
        ("\ufeffid,n,note\r\na,1,x\r\n", Dialect(), GOOD),
        ("id,n,note\ra,1,x\r", Dialect(), GOOD),
        ("\n\nid,n,note\n\na,1,x\n\n", Dialect(), GOOD),
        ('"id" , "n","note"\na, 1 ,x\n', Dialect(), GOOD),
        ("ID,N,Note\na,1,x\n", Dialect(), GOOD),
        ("note,id,n\nx,a,1\n", Dialect(), GOOD),
        ("id;n;note\na;1;x\n", Dialect(), GOOD),
        ("a|1|x\n", Dialect(), GOOD),
        ("a\t1\tx\n", Dialect(), GOOD),
        ("a;1;x\n", Dialect(";"), GOOD),
        ('"line\nbreak","1","say ""hi"", he said"\n', Dialect(), {
            "rows": [["line\nbreak", 1, 'say "hi", he said']], "quarantine": []}),
        ("tab\there,1,back\\slash\n", Dialect(), {"rows": [["tab\there", 1, "back\\slash"]], "quarantine": []}),
        (" a ,1, x\n", Dialect(), {"rows": [[" a ", 1, " x"]], "quarantine": []}),
        (",1,\n", Dialect(), {"rows": [["", 1, ""]], "quarantine": []}),
        ('a,1,\\N\nb,2,"\\N"\n', Dialect(), {"rows": [["a", 1, None], ["b", 2, None]], "quarantine": []}),
        ("a\\,b,1,x\n", Dialect(escape="\\"), {"rows": [["a,b", 1, "x"]], "quarantine": []}),
        ("more,id,n,note\n?,a,1,x\n", Dialect(), {**GOOD, "ignored_columns": ["more"]}),
        (",id,n,note\n0,a,1,x\n", Dialect(), {**GOOD, "ignored_columns": [""]}),
        ("id,id,n,note\na,b,1,x\n", Dialect(), {**GOOD, "ignored_columns": ["id"]}),
        ("note,id\nx,a\n", Dialect(), {"rows": [["a", 0, "x"]], "quarantine": [], "missing_columns": ["n"]}),
        ("id,n,note\n", Dialect(header=False), {"rows": [], "quarantine": [["value 'n' on column 'n' is not Int32"]]}),
        ("name,number,text\na,1,x\n", Dialect(), {
            "rows": [["a", 1, "x"]], "quarantine": [["value 'number' on column 'n' is not Int32"]]}),
        ("a,1\n", Dialect(), broken('a row of 2 fields where 3 are expected: ["a","1"]')),
        ("a,1,x,y,z\n", Dialect(), broken('a row of 5 fields where 3 are expected: ["a","1","x","y","z"]')),
        ("b,1\nc,1,x,y\na,1,x\n", Dialect(), {**GOOD, "quarantine": broken(
            'a row of 2 fields where 3 are expected: ["b","1"]',
            'a row of 4 fields where 3 are expected: ["c","1","x","y"]')["quarantine"]}),
        ('"a"b,1,x\n', Dialect(), {"rows": [["ab", 1, "x"]], "quarantine": []}),
        ('a 5" pipe,1,x\n', Dialect(), {"rows": [['a 5" pipe', 1, "x"]], "quarantine": []}),
        (b"Caf\xe9,1,x\na,1,x\n", Dialect(), {**GOOD, "quarantine": undecoded('["Caf\\\\xe9","1","x"]')}),
        (b"Caf\xe9,1,x\n", Dialect(charset="windows-1252"), {"rows": [["Caf\u00e9", 1, "x"]], "quarantine": []}),
        (b"\x81,1,x\na,1,x\n", Dialect(charset="windows-1252"), {
            **GOOD, "quarantine": undecoded('["\\\\x81","1","x"]')}),
        ("id,n,note\na,1,x\n".encode("utf-16"), Dialect(), GOOD),
        ("", Dialect(), {"rows": [], "quarantine": []}),
        ("sep=;\nnote;id;n\nx;a;1\n", Dialect(), GOOD),
        ('"sep=:"\r\na:1:x\r\n', Dialect(), GOOD),
        ("\ufeffSEP=\t\rid\tn\tnote\ra\t1\tx\r", Dialect(), GOOD),
        ('a,1,x\nb,2,"y\nc,3,z\n', Dialect(), {**GOOD, "quarantine": broken(
            'a row whose quote is not closed: "b,2,\\"y\\nc,3,z\\n"')["quarantine"]}),
        ('a,1,x\n5" pipe,2,y\nb,2,"y', Dialect(), {"rows": [['5" pipe', 2, "y"], ["a", 1, "x"]],
            "quarantine": broken('a row whose quote is not closed: "b,2,\\"y"')["quarantine"]}),
        ('"a,1', Dialect(), broken('a row whose quote is not closed: "\\"a,1"')),
        ('a 5" pipe,1,"x"\n\n', Dialect(), {"rows": [['a 5" pipe', 1, "x"]], "quarantine": []}),
        ('a,1,"x\\""\n', Dialect(escape="\\"), {"rows": [["a", 1, 'x"']], "quarantine": []}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("held", [False, True])  # by imports whose views do not end
def test_what_becomes_of_a_file(
    events: Workspace,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str | bytes,
    dialect: Dialect,
    expected: dict[str, Any],
    *,
    held: bool,
) -> None:
    with ExitStack() as others:
        if held:
            monkeypatch.setattr(spool, "CSV_SECONDS", 0.05)
            for _ in range(spool.CSV_SLOTS):
                others.enter_context(engine.csv(b"", 1, ","))
        assert load(events, tmp_path, text, dialect) == expected


def test_who_waits_for_others_csv_in_vain_waits_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "CSV_SECONDS", 2)
    times = []
    with ExitStack() as others:
        for _ in range(spool.CSV_SLOTS):
            others.enter_context(engine.csv(b"a\n", 1, ","))
        for _ in range(3):
            started = time.monotonic()
            with pytest.raises(NoSlot), engine.csv(b"a\n", 1, ","):
                pass
            times.append(time.monotonic() - started)
    assert times[0] >= 1.9
    assert max(times[1:]) < 1.5
    for _ in range(spool.CSV_SLOTS + 1):  # none is lost
        with engine.csv(b"a\n", 1, ",") as records:
            assert engine.execute(f"SELECT f1 FROM {records}", output="TSV").body == b"a\n"


@pytest.mark.parametrize(
    ("text", "dialect", "message"),
    [
        ("a,1,x", Dialect("::"), "dialect"),
        ("x,y\n1,2\n", Dialect(header=True), "No name in the first row is a column of 'e': x, y"),
        ("a,1,x", Dialect(charset="klingon"), "charset 'klingon' is unknown"),
        ("a,1,x", Dialect(charset="zlib"), "charset 'zlib' is unknown"),
    ],
)
def test_what_is_refused(events: Workspace, tmp_path: Path, text: str, dialect: Dialect, message: str) -> None:
    with pytest.raises(ClickpipeError, match=message):
        load(events, tmp_path, text, dialect)


@pytest.mark.parametrize("note", ["plain", '"with\nline ends\n"', 'a 5" pipe', '"say ""hi"""'])
def test_parts_are_whole_records(events: Workspace, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    monkeypatch.setattr(csv_rows, "_CHUNK", 100)
    text = "id,n,note\n" + "".join(f"r{n},{n},{note}\n" for n in range(50))
    _, parts = csv_parts(io.BytesIO(text.encode()), source_of(events), Dialect())
    found = [part.data for part in parts]
    assert len(found) > 5
    assert all(data.startswith(b"r") and data.endswith(b"\n") for data in found)
    assert b"".join(found).decode() == text.partition("\n")[2]


TYPES = {
    "s": ("String", r"""'it''s "q", a\\b\nc'"""),
    "i": ("Int64", "toInt64(-5)"),
    "f": ("Float64", "1.5"),
    "d": ("Decimal(38, 10)", "toDecimal128('12345678901234567.8912345678', 10)"),
    "b": ("Bool", "true"),
    "day": ("Date", "toDate('2026-01-31')"),
    "at": ("DateTime64(3)", "toDateTime64('2026-01-31 12:00:00.123', 3)"),
    "u": ("UUID", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')"),
    "ip": ("IPv4", "toIPv4('10.0.0.1')"),
    "six": ("IPv6", "toIPv6('2001:db8::1')"),
    "e": ("Enum8('a' = 1, 'b' = 2)", r"CAST('b', 'Enum8(\'a\' = 1, \'b\' = 2)')"),
    "no": ("Nullable(String)", "CAST(NULL, 'Nullable(String)')"),
    "nn": ("Nullable(Int32)", "CAST(NULL, 'Nullable(Int32)')"),
    "a": ("Array(String)", r"""['it''s', 'a,b', 'back\\slash', 'line\nend', '"', '']"""),
    "an": ("Array(Nullable(Int32))", "[1, NULL]"),
    "aa": ("Array(Array(Float64))", "[[1.5], []]"),
    "at_": ("Array(DateTime)", "[toDateTime('2026-01-31 12:00:00')]"),
    "au": ("Array(UUID)", "[toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')]"),
    "m": ("Map(String, Int32)", r"map('k, ''q''', toInt32(1), 'x', toInt32(2))"),
    "mi": ("Map(UInt8, String)", "map(toUInt8(1), 'a:b')"),
    "lc": ("LowCardinality(String)", "toLowCardinality('x')"),
    "em": ("Array(String)", "CAST([], 'Array(String)')"),
    "j": ("JSON", """CAST('{"a":{"b":[1,2]}}', 'JSON')"""),
    "t": ("Tuple(a Int32, b String)", r"CAST((1, 'x'), 'Tuple(a Int32, b String)')"),
}


@pytest.fixture(scope="module")
def exports(instance: Instance) -> Iterator[Workspace]:
    """A data source and an endpoint for each type."""
    workspace = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    files = {}
    for name, (type_, value) in TYPES.items():
        files[f"e_{name}.datasource"] = f"SCHEMA >\n    id UInt8 `json:$.id`,\n    v {type_} `json:$.v`\n"
        files[f"out_{name}.pipe"] = f"NODE n\nSQL >\n    SELECT toUInt8(1) AS id, {value} AS v\nTYPE endpoint\n"
    workspace.deploy(files)
    yield workspace
    instance.workspaces.delete(workspace)


@pytest.mark.parametrize("format_", ["csv", "parquet", "ndjson"])
@pytest.mark.parametrize("name", TYPES)
def test_what_is_exported_can_be_appended_again(exports: Workspace, tmp_path: Path, name: str, format_: str) -> None:
    if (name, format_) == ("t", "csv"):
        pytest.skip("ClickHouse writes a tuple's elements as columns of CSV")
    source, pipe, file = f"e_{name}", f"out_{name}", tmp_path / f"file.{format_}"
    exports.data.truncate(source)
    file.write_bytes(exports.endpoint(pipe, {}, FORMATS[format_]).body)
    with read_file(file, format_, source_of(exports, source), Dialect()) as rows:
        result = exports.append(source, rows)
    assert (result.successful_rows, exports.sql(f"SELECT c__error FROM {source}_quarantine")) == (1, [])
    assert exports.sql(f"SELECT toString(v) AS v FROM {source}") == exports.sql(f"SELECT toString(v) AS v FROM {pipe}")


@pytest.mark.parametrize("line", ["," * 100_000, "a," * 100_000, "a b," * 50_000 + "id," * 50_000, "\t" * 100_000])
def test_a_row_of_very_many_fields_is_laid_out_soon(line: str) -> None:
    """Time grows with the file, not with the square of its fields."""
    names = Names()
    began = time.perf_counter()
    assert len({names.of((cell,)) for cell in line.split(",")}) > 0
    matched(line.split(","), ("id", "b"))
    assert time.perf_counter() - began < 20


CELLS = st.sampled_from(["a", "A", "a_2", "A 2", "a_2_2", "", "column", "column_2", "b", " b", "1", "null"])


@given(st.lists(CELLS, min_size=1, max_size=6))
def test_a_data_source_made_for_a_header_takes_each_of_its_fields(header: list[str]) -> None:
    """Whatever is empty, odd or there twice."""
    names = Names()
    made = [names.of((cell,)) for cell in header]
    assert matched(header, made) == made


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        (["Name", "name"], ["Name", "name", "name_2"], ["Name", "name"]),
        (["name", "Name"], ["name_2", "name"], ["name", "name_2"]),
        (["name", "x", "Name"], ["name", "name_2"], ["name", "", "name_2"]),
    ],
)
def test_columns_that_are_called_as_the_header_has_it_are_these(
    header: list[str], columns: list[str], expected: list[str]
) -> None:
    assert matched(header, columns) == expected
