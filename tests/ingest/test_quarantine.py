from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clickpipe.catalog import Job
from clickpipe.ingest import Dialect, Lines, read_file
from clickpipe.runtime import Instance, Workspace

SCHEMA = "SCHEMA >\n    id String `json:$.id`,\n    n {n} `json:$.n`\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, count() AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
LINES = [b'{"id":"a","n":1}', b'{"id":"b","n":300}', b'{"id":"c","n":"x"}', b'{"n":7}', b"nonsense", b'{"id":"d"}']


def files(n: str) -> dict[str, str]:
    return {"events.datasource": SCHEMA.format(n=n), "sums.datasource": SUMS, "sums_mv.pipe": VIEW}


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    workspace.deploy(files("UInt8"))
    result = workspace.data.submit("events", Lines.of(LINES)).result()
    assert (result.successful_rows, result.quarantined_rows) == (1, 5)
    return workspace


@pytest.fixture
def ended(instance: Instance) -> Callable[[Job], Job]:
    def wait(job: Job) -> Job:
        instance.jobs.wait(job.id)
        found = instance.catalog.jobs.get(job.workspace_id, job.id)
        assert found is not None
        return found

    return wait


def test_reasons_are_counted_by_kind_with_a_row_of_each(filled: Workspace) -> None:
    filled.data.submit("events", Lines.of([b'{"id":"e","n":400}'])).result()
    found = [(r.column, r.reason, r.rows, r.row) for r in filled.data.quarantine_reasons("events")]
    assert found[0][:3] == ("n", "value on column 'n' is not UInt8", 3)
    missing = "value is missing or null on column '{}', which is {} and has no DEFAULT"
    assert sorted(found[1:]) == [
        ("", "the line is not a JSON object", 1, {"id": None, "n": None}),
        ("id", missing.format("id", "String"), 1, {"id": None, "n": "7"}),
        ("n", missing.format("n", "UInt8"), 1, {"id": "d", "n": None}),
    ]
    assert len(filled.data.quarantine_reasons("events", limit=1)) == 1


def test_rows_of_csv_are_told_as_such(workspace: Workspace, tmp_path: Path) -> None:
    workspace.deploy(files("UInt8"))
    file = tmp_path / "rows.csv"
    file.write_bytes(b"id,n\na,1\nb\nc\nd,4,x: y\n" + "\xe9,1\n".encode("latin-1"))
    with read_file(file, "csv", workspace.queries.live().compiled.data_sources["events"], Dialect()) as rows:
        assert workspace.append("events", rows).quarantined_rows == 4
    assert sorted((r.reason, r.rows) for r in workspace.data.quarantine_reasons("events")) == [
        ("a row of 1 fields where 2 are expected", 2),
        ("a row of 3 fields where 2 are expected", 1),
        ("a row with bytes that are not in the file's charset", 1),
    ]


def test_what_fits_after_a_fix_is_taken_in_once(filled: Workspace, ended: Callable[[Job], Job]) -> None:
    filled.deploy(files("Nullable(Int32)"))
    before = ended(filled.data.replay_quarantine("events"))
    assert (before.status, before.result) == ("done", {"rows": 2, "left": 3})
    assert filled.sql("SELECT id, n FROM events ORDER BY id") == [
        {"id": "a", "n": 1},
        {"id": "b", "n": 300},
        {"id": "d", "n": None},
    ]
    assert filled.sql("SELECT id, sum(n) AS n FROM sums GROUP BY id ORDER BY id") == [
        {"id": "a", "n": 1},
        {"id": "b", "n": 1},
        {"id": "d", "n": 1},
    ]
    assert filled.sql("SELECT count() AS left FROM events_quarantine") == [{"left": 3}]
    assert ended(filled.data.replay_quarantine("events")).result == {"rows": 0, "left": 3}


def test_rows_stay_in_quarantine_when_columns_come_and_go(filled: Workspace) -> None:
    schema = (
        "SCHEMA >\n    id String `json:$.id`,\n    more String DEFAULT 'x' `json:$.more`\n\nENGINE_SORTING_KEY id\n"
    )
    filled.deploy({"events.datasource": schema, "sums.datasource": SUMS, "sums_mv.pipe": VIEW}, allow_destructive=True)
    rows = filled.sql("SELECT id, more, c__error_column FROM events_quarantine WHERE id = 'b'")
    assert rows == [{"id": "b", "more": None, "c__error_column": ["n"]}]
    assert filled.sql("SELECT count() AS n FROM events_quarantine") == [{"n": 5}]


def test_a_replay_that_was_cut_off_doubles_nothing(
    filled: Workspace, instance: Instance, ended: Callable[[Job], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.deploy(files("Nullable(Int32)"))
    execute = instance.engine.execute

    def fail(sql: str, *given: object, **named: object) -> object:
        if sql.startswith("EXCHANGE"):
            raise RuntimeError("cut off")
        return execute(sql, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(instance.engine, "execute", fail)
    assert ended(filled.data.replay_quarantine("events")).status == "error"
    monkeypatch.undo()
    assert ended(filled.data.replay_quarantine("events")).result == {"rows": 2, "left": 3}
    assert filled.sql("SELECT count() AS rows, sum(s.n) AS seen FROM events, (SELECT sum(n) AS n FROM sums) AS s") == [
        {"rows": 3, "seen": 9}
    ]


def test_rows_that_a_view_refuses_stay_and_the_others_are_taken_in(
    filled: Workspace, ended: Callable[[Job], Job]
) -> None:
    fussy = VIEW.replace("FROM events", "FROM events WHERE throwIf(id = 'b') = 0")
    filled.deploy(
        {"events.datasource": SCHEMA.format(n="Nullable(Int32)"), "sums.datasource": SUMS, "sums_mv.pipe": fussy}
    )
    for _ in range(2):  # again, it is the same
        assert ended(filled.data.replay_quarantine("events")).result["left"] == 4
        assert filled.sql("SELECT id FROM events ORDER BY id") == [{"id": "a"}, {"id": "d"}]
        assert filled.sql("SELECT id FROM events_quarantine WHERE id != '' ORDER BY id") == [{"id": "b"}, {"id": "c"}]
    filled.deploy(
        {"events.datasource": SCHEMA.format(n="Nullable(Int32)"), "sums.datasource": SUMS, "sums_mv.pipe": VIEW}
    )
    assert ended(filled.data.replay_quarantine("events")).result == {"rows": 1, "left": 3}


NAMES = (r"a\nb", 'quote"', "semi;colon", "--", "/*", "a.b", "it's", r"\\", "{x}", "ü", "select", r"\0")


def test_columns_and_keys_may_have_any_name(workspace: Workspace, ended: Callable[[Job], Job]) -> None:
    """Names stand in SQL in one way: a backslash in one is no escape."""
    columns = [f"    `{name}` {{n}} `json:$['{name}']['{name}']`" for name in NAMES if "'" not in name]
    schema = "SCHEMA >\n    id String `json:$.id`,\n" + ",\n".join(columns) + "\nENGINE_SORTING_KEY id\n"
    workspace.deploy({"events.datasource": schema.format(n="UInt8", x="{x}")})
    names = [name for name in NAMES if "'" not in name]
    rows = [{"id": str(n), **{name: {name: n} for name in names}} for n in (7, 300)]
    result = workspace.ingest("events", rows)
    assert (result.successful_rows, result.quarantined_rows) == (1, 1)
    assert workspace.sql("SELECT * FROM events") == [{"id": "7", **dict.fromkeys(names, 7)}]
    found = workspace.data.quarantine_reasons("events")
    assert {reason.column for reason in found} == set(names)
    assert found[0].row == {"id": "300", **dict.fromkeys(names, "300")}
    workspace.deploy({"events.datasource": schema.format(n="UInt16", x="{x}")})
    assert ended(workspace.data.replay_quarantine("events")).result == {"rows": 1, "left": 0}
    assert workspace.sql("SELECT * FROM events WHERE id = '300'") == [{"id": "300", **dict.fromkeys(names, 300)}]
