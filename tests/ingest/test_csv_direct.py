"""CSV that is inserted without being staged: the same rows as by way of staging, whatever is in the file."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from clickpipe.engine import ABSENT, EmbeddedEngine, EngineError, reads_csv
from clickpipe.ingest import Dialect, csv_rows, imports, read_file
from clickpipe.runtime import Instance, Workspace

SCHEMA = "SCHEMA >\n    id String,\n    n Int32,\n    at DateTime,\n    note Nullable(String)\nENGINE_SORTING_KEY id\n"
HEADER, TIME = "id,n,at,note", "2026-01-31 12:00:00"
VIEW = {
    "sums.datasource": "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
    "sums_mv.pipe": "NODE n\nSQL >\n    SELECT id, sum(e.n) AS n FROM e WHERE throwIf(e.n > 100) = 0 GROUP BY id\n"
    "TYPE materialized\nDATASOURCE sums\n",
}


@pytest.fixture
def events(workspace: Workspace) -> Workspace:
    workspace.deploy({"e.datasource": SCHEMA})
    return workspace


@pytest.fixture(scope="module")
def shared(instance: Instance) -> Iterator[Workspace]:
    """A workspace for many examples."""
    made = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    made.deploy({"e.datasource": SCHEMA})
    yield made
    instance.workspaces.delete(made)


def load(workspace: Workspace, path: Path, data: bytes, dialect: Dialect | None = None) -> dict[str, Any]:
    file = path / "file.csv"
    file.write_bytes(data)
    for name in ("e", "e_quarantine"):
        workspace.data.truncate(name)
    source = workspace.queries.live().compiled.data_sources["e"]
    with read_file(file, "csv", source, dialect or Dialect()) as rows:
        result = workspace.append("e", rows)
    stored = workspace.sql("SELECT * FROM e ORDER BY ALL")
    kept = workspace.sql("SELECT * EXCEPT (insertion_date, c__import_id) FROM e_quarantine ORDER BY ALL")
    return {"rows": stored, "quarantine": kept, "told": (result.successful_rows, result.quarantined_rows)}


def both_ways(workspace: Workspace, path: Path, data: bytes, dialect: Dialect | None = None) -> dict[str, Any]:
    direct = load(workspace, path, data, dialect)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "reads_csv", lambda _fields, _delimiter: False)
        assert load(workspace, path, data, dialect) == direct
    return direct


class Statements:
    """What is sent to the engine while it is watched."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[str] = []
        real = EmbeddedEngine.execute

        def execute(engine: EmbeddedEngine, sql: str, *given: Any, **more: Any) -> Any:
            self.seen.append(sql)
            return real(engine, sql, *given, **more)

        patch.setattr(EmbeddedEngine, "execute", execute)

    @property
    def staged(self) -> bool:
        return any(sql.startswith("CREATE TABLE IF NOT EXISTS `clickpipe_staged`") for sql in self.seen)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_fits_is_not_staged(
    events: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delimiter: str, ending: str
) -> None:
    statements = Statements(monkeypatch)
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=ending).writerows(
        [HEADER.split(","), ["a", 1, TIME, f'x{delimiter}"y"\nz'], ["b", 2, TIME, "\\N"]]
    )
    found = load(events, tmp_path, text.getvalue().encode())
    assert found["told"] == (2, 0)
    assert [row["note"] for row in found["rows"]] == [f'x{delimiter}"y"\nz', None]
    assert statements.staged is (delimiter == "\t" and ending == "\r\n")  # which ClickHouse does not read


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (f"a,1,{TIME},x\nb,many,{TIME},y\n", (1, 1)),
        (f"a,1,{TIME},x\nb,1\n", (1, 1)),
        (f"a,1,{TIME},x\nb,1,{TIME},y,z\n", (1, 1)),
        (f"a,1,{TIME},x\n\n\nb,2,{TIME},y\n\n", (2, 0)),
        (f"a,1,{TIME},x\n b,2,{TIME},y\n", (2, 0)),
        (f'a,1,{TIME},x\n"b"c,2,{TIME},y\n', (2, 0)),
        (f'a,1,{TIME},x\nb,2,{TIME},5" wide\n', (2, 0)),
        (f"a,300000000000,{TIME},x\n", (0, 1)),
        (f"a, 1 ,{TIME},x\n", (1, 0)),
        (",,,\n", (0, 1)),
        ("\\N,1,2026-01-31 12:00:00,\\N\n", (0, 1)),
        ("a,1,12:00,x\n", (0, 1)),
    ],
)
def test_rows_that_do_not_fit_are_found(events: Workspace, tmp_path: Path, rows: str, told: tuple[int, int]) -> None:
    assert both_ways(events, tmp_path, f"{HEADER}\n{rows}".encode())["told"] == told


PIECES = st.sampled_from([*'a1é \t",;\\\r\n\x00\ufeff', "'", '""', "\\N"])
CELLS = st.lists(PIECES, max_size=4).map("".join)


@settings(max_examples=40)
@given(ids=st.lists(CELLS, min_size=1, max_size=4), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@example(ids=["\\N", "", "\ufeff"], quoting=csv.QUOTE_ALL)
@example(ids=["a", "\n ", "text\n\tmore"], quoting=csv.QUOTE_MINIMAL)
def test_texts_are_read_alike(
    shared: Workspace, tmp_path_factory: pytest.TempPathFactory, ids: list[str], quoting: Any
) -> None:
    _alike(shared, tmp_path_factory.mktemp("csv"), ids, quoting)


@pytest.mark.slow
@settings(max_examples=500)
@given(ids=st.lists(CELLS, min_size=1, max_size=6), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, None]))
def test_many_texts_are_read_alike(
    shared: Workspace, tmp_path_factory: pytest.TempPathFactory, ids: list[str], quoting: Any
) -> None:
    _alike(shared, tmp_path_factory.mktemp("csv"), ids, quoting)


def _alike(workspace: Workspace, path: Path, ids: list[str], quoting: Any) -> None:
    """Hold both ways to each other on rows with such texts; without `quoting` they are put there as they are."""
    rows = [[text, "1", TIME, text] for text in ids]
    written = io.StringIO()
    if quoting is None:
        written.writelines(f"{','.join(row)}\n" for row in rows)
    else:
        csv.writer(written, quoting=quoting).writerows(rows)
    found = both_ways(workspace, path, f"{HEADER}\n{written.getvalue()}".encode(), Dialect(","))
    assert found["told"] == (len(found["rows"]), len(found["quarantine"]))
    assert quoting is None or sum(found["told"]) == len(ids), "each row is somewhere"


def test_views_are_asked_first(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.deploy({"e.datasource": SCHEMA, **VIEW})
    statements = Statements(monkeypatch)
    good = f"{HEADER}\na,1,{TIME},x\nb,2,{TIME},y\n"
    assert load(workspace, tmp_path, good.encode())["told"] == (2, 0)
    assert not statements.staged
    assert workspace.sql("SELECT id, sum(n) AS n FROM sums GROUP BY id ORDER BY id") == [
        {"id": "a", "n": 1},
        {"id": "b", "n": 2},
    ]
    found = load(workspace, tmp_path, f"{good}c,101,{TIME},z\n".encode())
    assert found["told"] == (2, 1)
    assert "sums_mv refuses the row" in found["quarantine"][0]["c__error"][0]


def test_parts_are_written_together_and_counted_in_order(
    events: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_CHUNK", 400)
    wrong = {7, 350, 351}
    rows = "".join(f"r{n:03},{'many' if n in wrong else n},{TIME},x\n" for n in range(400))
    found = load(events, tmp_path, f"{HEADER}\n{rows}".encode())
    assert found["told"] == (397, 3)
    assert [row["n"] for row in found["rows"]] == [n for n in range(400) if n not in wrong]


def test_a_part_that_cannot_be_read_ends_what_comes_behind_it(
    events: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_rows, "_CHUNK", 400)
    monkeypatch.setattr(csv_rows, "_LONGEST", 900)
    rows = "".join(f"r{n:03},{n},{TIME},x\n" for n in range(40))
    told: list[dict[str, Any]] = []
    file = tmp_path / "file.csv"
    file.write_text(f'{HEADER}\n{rows}"{"y" * 2000}', encoding="utf-8")
    source = events.queries.live().compiled.data_sources["e"]
    with read_file(file, "csv", source, Dialect()) as found, pytest.raises(Exception, match="longer than 900 bytes"):
        events.data._importer.append("e", found, report=lambda seen: told.append(dict(seen)))
    assert told[-1]["rows"] == len(events.sql("SELECT * FROM e")) > 0


@pytest.mark.parametrize(
    ("fields", "delimiter", "is_read"),
    [(1, ",", True), (128, "\t", True), (129, ",", False), (2, "::", False), (2, "a", False)],
)
def test_what_the_engine_reads(fields: int, delimiter: str, is_read: bool) -> None:  # noqa: FBT001
    assert reads_csv(fields, delimiter) is is_read


@pytest.mark.parametrize("records", [b"a,b\nc\n", b"a,b\nc,d,e\n", b"a,b\n\nc,d\n"])
def test_records_of_other_widths_fail(instance: Instance, records: bytes) -> None:
    with instance.engine.csv(records, 2, ",") as table, pytest.raises(EngineError):
        instance.engine.execute(f"SELECT f1, f2 FROM {table}", output="CSV")


def test_two_files_at_once(instance: Instance) -> None:
    engine = instance.engine
    with engine.csv(b"a,b\n", 2, ",") as one, engine.csv(b"c|d\n", 2, "|") as two:
        sql = f"SELECT * FROM (SELECT f1, f2 FROM {one} UNION ALL SELECT f1, f2 FROM {two}) ORDER BY 1"
        body = engine.execute(sql, output="CSV").body
    assert body == b'"a","b"\n"c","d"\n'
    assert imports._AT_ONCE == 2


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_records_of_any_width_are_read_as_they_are(instance: Instance, delimiter: str) -> None:
    records = b"a,b\nc\nd,e,f,g\n,\n".replace(b",", delimiter.encode())
    with instance.engine.csv(records, 2, delimiter, any_number=True) as table:
        sql = f"SELECT if(f1 = {ABSENT}, '-', f1), if(f2 = {ABSENT}, '-', f2), f3 != {ABSENT} FROM {table}"
        body = instance.engine.execute(sql, output="TSV").body.decode()
    rows = [line.split("\t") for line in body.splitlines()]
    assert rows == [["a", "b", "0"], ["c", "-", "0"], ["d", "e", "1"], ["", "", "0"]]


@pytest.mark.parametrize(
    "odd", ["\x01", "\x00", "\x7f", "\xff", "\\xFF", "'\xff'", "\ufffd", "\U0010ffff", "\\N ", "\x1a"]
)
def test_no_text_stands_for_a_field_that_is_not_there(workspace: Workspace, tmp_path: Path, odd: str) -> None:
    workspace.deploy({"e.datasource": "SCHEMA >\n    id Int32,\n    t String\nENGINE_SORTING_KEY id\n"})
    text = f'id,t\n1,{odd}\n2,"{odd}"\n3\n4,{odd},x\n'
    found = load(workspace, tmp_path, text.encode())
    assert found["told"] == (2, 2)
    assert found["rows"] == [{"id": 1, "t": odd}, {"id": 2, "t": odd}]
