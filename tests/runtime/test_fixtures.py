from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.ingest import IngestResult, json_file
from clickpipe.runtime import Instance, LoadedFixture, Workspace, fixture_path, load_fixtures

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
STATES = "SCHEMA >\n    n AggregateFunction(count)\n\nENGINE AggregatingMergeTree\nENGINE_SORTING_KEY tuple()\n"
FILES = {"events.datasource": EVENTS, "others.datasource": EVENTS, "states.datasource": STATES}
GOOD, BAD = '{"id": "a", "n": 1}\n', '{"id": "a", "n": "many"}\n'


@pytest.fixture(scope="module")
def shared(instance: Instance) -> Iterator[Workspace]:
    made = instance.workspaces.create("fixtures")
    made.deploy(FILES)
    yield made
    instance.workspaces.delete(made)


@pytest.fixture
def deployed(engine: Engine, shared: Workspace) -> Workspace:
    """Without rows: tables are emptied before each test, which is quicker than making them."""
    for table in shared.queries.live().physical.tables.values():
        engine.execute(f"TRUNCATE TABLE {table}")
    return shared


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "fixtures").mkdir()
    return tmp_path


def counts(workspace: Workspace) -> tuple[int, int, int]:
    found = workspace.row_counts()
    return found["events"][0], found["events_quarantine"][0], found["others"][0]


def test_fixtures_are_loaded_once(deployed: Workspace, root: Path) -> None:
    fixture_path(root, "events").write_text(GOOD + GOOD + BAD)
    messages: list[str] = []
    loaded = load_fixtures(deployed, root, messages.append)
    assert loaded == [LoadedFixture("events", "fixtures/events.ndjson", IngestResult(2, 1))]
    assert messages == ["loading fixtures/events.ndjson into events"]
    assert load_fixtures(deployed, root) == []
    assert counts(deployed) == (2, 1, 0)


def test_a_data_source_with_rows_is_left_as_it_is(deployed: Workspace, root: Path) -> None:
    for name in ("events", "others"):
        fixture_path(root, name).write_text(GOOD + GOOD)
    deployed.ingest("events", [{"id": "own", "n": "no number"}])  # a row in quarantine is one too
    assert [f.data_source for f in load_fixtures(deployed, root)] == ["others"]
    assert counts(deployed) == (0, 1, 2)


def test_a_long_fixture_is_loaded_in_parts(deployed: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_CHUNK", len(GOOD) * 2)
    fixture_path(root, "events").write_text(GOOD * 5 + BAD * 2)
    assert [f.result for f in load_fixtures(deployed, root)] == [IngestResult(5, 2)]
    assert counts(deployed) == (5, 2, 0)


def test_fixtures_may_be_csv_parquet_and_sql(deployed: Workspace, root: Path, engine: Engine) -> None:
    (root / "fixtures/events.csv").write_text("id,n\na,1\nb,x\n")
    (root / "fixtures/others.sql").write_text("SELECT toString(number) AS id, number AS n FROM numbers(7);\n")
    loaded = load_fixtures(deployed, root)
    assert [(f.file, f.result) for f in loaded] == [
        ("fixtures/events.csv", IngestResult(1, 1)),
        ("fixtures/others.sql", IngestResult(7, 0)),
    ]
    assert deployed.sql("SELECT sum(n) AS n FROM others") == [{"n": 21}]
    engine.execute(f"TRUNCATE TABLE {deployed.queries.live().physical.tables['others']}")
    (root / "fixtures/others.parquet").write_bytes(engine.execute("SELECT 'a' AS id, 5 AS n", output="Parquet").body)
    assert [f.file for f in load_fixtures(deployed, root)] == ["fixtures/others.parquet"]
    assert deployed.sql("SELECT id, n FROM others") == [{"id": "a", "n": 5}]


def test_sql_that_is_refused_is_told(deployed: Workspace, root: Path) -> None:
    (root / "fixtures/events.sql").write_text("SELECT * FROM file('/etc/passwd')")
    with pytest.raises(ClickpipeError, match="table function 'file' is not allowed"):
        load_fixtures(deployed, root)


@pytest.mark.parametrize("file", ["nothing.ndjson", "states.ndjson"])  # no such data source; it takes no events
def test_what_is_not_loaded(deployed: Workspace, root: Path, file: str) -> None:
    (root / "fixtures" / file).write_text(GOOD)
    messages: list[str] = []
    assert load_fixtures(deployed, root, messages.append) == []
    assert messages == []


def test_an_empty_fixture_adds_nothing(deployed: Workspace, root: Path) -> None:
    fixture_path(root, "events").write_text("")
    assert [f.result for f in load_fixtures(deployed, root)] == [IngestResult(0, 0)]


def test_a_fixture_that_cannot_be_read_or_is_refused_is_told_and_the_others_are_loaded(
    deployed: Workspace, root: Path
) -> None:
    (root / "fixtures" / "events.sql").write_text("SELECT nothing")
    fixture_path(root, "others").write_text(GOOD + BAD)
    events, others = load_fixtures(deployed, root, carry_on=True)
    assert (events.file, events.result) == ("fixtures/events.sql", IngestResult(0, 0))
    assert "nothing" in events.problem
    assert (others.result, "'many'" in others.problem) == (IngestResult(1, 1), True)
