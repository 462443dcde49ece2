"""Views that may judge the same row in two ways: each row is in the table and every view, or in quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.engine import EngineError
from clickpipe.ingest import Ingester, Lines, WriteAheadLog, replay
from clickpipe.ingest.log_file import Record
from clickpipe.ingest.uncertain import is_uncertain
from clickpipe.runtime import Instance, Workspace
from tests.deploy.projects import stage
from tests.ingest.conftest import ONE

EVENTS = "SCHEMA >\n    id UInt64 `json:$.id`,\n    at DateTime DEFAULT now()\nENGINE_SORTING_KEY id\n"
IDS = "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n"
VIEW = "NODE a\nSQL >\n    {}\nTYPE materialized\nDATASOURCE {}\n"
# events -> firsts -> seconds, and sums beside them: one of these refuses.
CHAIN = {
    "events.datasource": EVENTS,
    "allowed.datasource": "SCHEMA >\n    id UInt64 `json:$.id`\nENGINE_SORTING_KEY id\n",
    "firsts.datasource": IDS,
    "seconds.datasource": IDS,
    "sums.datasource": "SCHEMA >\n    n UInt64\nENGINE_SORTING_KEY n\n",
    "first_mv.pipe": VIEW.format("SELECT id FROM events", "firsts"),
    "second_mv.pipe": VIEW.format("SELECT id FROM firsts", "seconds"),
    "sum_mv.pipe": VIEW.format("SELECT count() AS n FROM events", "sums"),
}
RANDOM = {
    "the first": {"first_mv.pipe": VIEW.format("SELECT id FROM events WHERE throwIf(rand(id) % 8 = 0) = 0", "firsts")},
    "one behind it": {
        "second_mv.pipe": VIEW.format("SELECT id FROM firsts WHERE throwIf(rand(id) % 8 = 0) = 0", "seconds")
    },
    "one beside it": {
        "sum_mv.pipe": VIEW.format("SELECT count() AS n FROM events WHERE throwIf(rand(id) % 8 = 0) = 0", "sums")
    },
    "by what another table has": {
        "first_mv.pipe": VIEW.format(
            "SELECT id FROM events WHERE throwIf(id + (SELECT count() FROM allowed) > 180) = 0", "firsts"
        )
    },
}


def line(number: int) -> bytes:
    return b'{"id":%d}' % number


def ids(workspace: Workspace, table: str) -> list[int]:
    return [row["id"] for row in workspace.sql(f"SELECT toUInt64(id) AS id FROM {table} ORDER BY id")]


def refused(workspace: Workspace) -> list[tuple[int, str]]:
    rows = workspace.sql("SELECT id, c__error_column AS w FROM events_quarantine ORDER BY toUInt64(id)")
    return [(int(row["id"]), row["w"][0]) for row in rows]


def check(workspace: Workspace, rows: int) -> list[tuple[int, str]]:
    """Each row is in table and views, or in quarantine; return those in quarantine."""
    out = refused(workspace)
    assert sorted([*ids(workspace, "events"), *(number for number, _ in out)]) == list(range(rows))
    assert ids(workspace, "events") == ids(workspace, "firsts") == ids(workspace, "seconds")
    assert workspace.sql("SELECT sum(n) AS n FROM sums") == [{"n": rows - len(out)}]
    return out


@pytest.fixture
def taker(log: WriteAheadLog, instance: Instance) -> Iterator[Ingester]:
    ingester = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    yield ingester
    ingester.close()


@pytest.mark.parametrize("files", RANDOM.values(), ids=RANDOM)
@pytest.mark.parametrize("end", [b"}", b".0}"], ids=["values known", "staged"])
def test_rows_of_a_large_segment_are_each_in_one_place(
    workspace: Workspace, log: WriteAheadLog, taker: Ingester, files: dict[str, str], end: bytes
) -> None:
    """One of eight is refused at random: no insert of 200 rows is ever taken as a whole."""
    workspace.deploy({**CHAIN, **files})
    lines = [line(n)[:-1] + end for n in range(200)]
    result = taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60)
    taker.close()
    out = check(workspace, 200)
    assert len(out) < 60
    assert result.quarantined_rows == len(out)
    assert {where for _, where in out} <= {"first_mv", "second_mv", "sum_mv"}
    assert log.unfinished() == []


LOOKUP = {
    **CHAIN,
    "first_mv.pipe": VIEW.format(
        "SELECT id FROM events WHERE throwIf(id NOT IN (SELECT id FROM allowed)) = 0", "firsts"
    ),
}


def before_the_table(engine: Any, monkeypatch: pytest.MonkeyPatch, do: Any) -> None:
    """Do something once, before the first row is written to the workspace."""
    waiting = [do]

    def seen(sql: str) -> None:
        if sql.startswith("INSERT INTO `ws_") and waiting:
            waiting.pop()()

    for name in ("execute", "insert"):
        run = getattr(engine, name)

        def spied(sql: str, *given: Any, _run: Any = run, _name: str = name, **named: Any) -> Any:
            seen(sql if _name == "execute" else f"INSERT INTO {sql}")
            return _run(sql, *given, **named)

        monkeypatch.setattr(engine, name, spied)


@pytest.mark.parametrize("end", [b"}", b".0}"], ids=["values known", "staged"])
def test_what_a_view_took_is_in_its_target_also_when_it_would_refuse_it_now(
    workspace: Workspace,
    log: WriteAheadLog,
    taker: Ingester,
    instance: Instance,
    end: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it looks up is taken away between the question and the insert."""
    workspace.deploy(LOOKUP)
    taker.submit(workspace.id, "allowed", Lines.of([line(n) for n in range(50)])).result()
    assert workspace.live is not None
    allowed = workspace.live.physical.tables["allowed"]
    before_the_table(instance.engine, monkeypatch, lambda: instance.engine.execute(f"TRUNCATE TABLE {allowed}"))
    lines = [line(n)[:-1] + end for n in range(60)]
    taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60)
    taker.close()
    assert ids(workspace, "allowed") == []
    assert check(workspace, 60) == [(n, "first_mv") for n in range(50, 60)]
    assert log.unfinished() == []


def test_a_stop_at_any_statement_changes_nothing(
    workspace: Workspace, log: WriteAheadLog, instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.deploy({**CHAIN, **RANDOM["one behind it"]})
    engine = instance.engine
    for step in range(10):
        log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(20 * step + n) for n in range(20)))])
        with monkeypatch.context() as patch:
            stop_after(engine, step, patch)
            dead = Ingester(engine, log, instance.catalog.positions, instance.registry)
            dead.recover()
            with dead._state:  # its threads insert nothing any more, as those of a process that was killed
                dead._stopped = True
                dead._state.wait_for(lambda dead=dead: not any(c.running for c in dead._channels.values()))  # type: ignore[misc]
                dead._channels.clear()
        again = Ingester(engine, log, instance.catalog.positions, instance.registry)
        again.recover()
        again.close()
        assert log.unfinished() == []
        check(workspace, 20 * (step + 1))


def stop_after(engine: Any, writes: int, patch: pytest.MonkeyPatch) -> None:
    """Have nothing written to the workspace any more behind so many inserts."""
    execute, seen = engine.execute, 0

    def stop(sql: str, *given: Any, **named: Any) -> Any:
        nonlocal seen
        if sql.startswith("INSERT INTO `ws_"):
            seen += 1
            if seen > writes:
                raise EngineError("Code: 1. DB::Exception: killed. (KILLED)")
        return execute(sql, *given, **named)

    patch.setattr(engine, "execute", stop)


@pytest.mark.parametrize("files", RANDOM.values(), ids=RANDOM)
def test_rows_of_a_file_and_of_a_replay_are_each_in_one_place(
    workspace: Workspace, instance: Instance, files: dict[str, str]
) -> None:
    workspace.deploy({**CHAIN, **files})
    written = workspace.append("events", [Lines.of([line(n) for n in range(200)])])
    left = len(check(workspace, 200))
    assert left == written.quarantined_rows
    assert workspace.live is not None
    source = workspace.live.compiled.data_sources["events"]
    replayed = replay(instance.engine, workspace.live, source, workspace.id)
    assert replayed == {"rows": left - len(check(workspace, 200)), "left": len(refused(workspace))}


def test_a_view_sees_the_values_that_the_table_has(workspace: Workspace, taker: Ingester) -> None:
    """A DEFAULT that is random is worked out once."""
    workspace.deploy(
        {
            "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    name UUID DEFAULT generateUUIDv4(),\n"
            "    doc JSON `json:$.doc`\nENGINE_SORTING_KEY id\n",
            "c.datasource": "SCHEMA >\n    id UInt64,\n    name UUID,\n    many AggregateFunction(count)\n"
            "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id, name\n",
            "c_mv.pipe": VIEW.format("SELECT id, name, countState() AS many FROM t GROUP BY id, name", "c"),
        }
    )
    lines = [b'{"id":%d,"doc":{"a":%d}}' % (n, n) for n in range(30)]
    assert taker.submit(workspace.id, "t", Lines.of(lines)).result().successful_rows == 30
    found = workspace.sql("SELECT id, name, sum(doc.a::UInt64) AS a FROM t GROUP BY id, name ORDER BY id")
    views = workspace.sql("SELECT id, name, countMerge(many) AS n FROM c GROUP BY id, name ORDER BY id")
    assert [(row["id"], row["name"]) for row in views] == [(row["id"], row["name"]) for row in found]
    assert [int(row["a"]) for row in found] == list(range(30))
    assert {int(row["n"]) for row in views} == {1}


def test_views_of_a_deployment_beside_the_live_one_get_the_rows_too(workspace: Workspace, taker: Ingester) -> None:
    files = {**CHAIN, **RANDOM["by what another table has"]}
    workspace.deploy(files)
    changed = {**files, "sums.datasource": files["sums.datasource"].replace("n UInt64", "n UInt64,\n    twice UInt64")}
    changed["sum_mv.pipe"] = VIEW.format("SELECT count() AS n, 2 * n AS twice FROM events", "sums")
    number = stage(workspace, changed)
    assert taker.submit(workspace.id, "events", Lines.of([line(n) for n in range(20)])).result().successful_rows == 20
    workspace.deployments.promote(number)
    assert workspace.sql("SELECT sum(n) AS n, sum(twice) AS twice FROM sums") == [{"n": 20, "twice": 40}]
    assert ids(workspace, "events") == ids(workspace, "firsts") == list(range(20))


@pytest.mark.parametrize(
    ("sql", "default", "uncertain"),
    [
        ("SELECT id FROM events", "now()", False),
        ("SELECT id FROM events AS e WHERE throwIf(e.id > 5) = 0", "now64(3)", False),
        ("SELECT arrayJoin([id]) AS id FROM events", "toDateTime(0)", False),
        ("SELECT id FROM events WHERE throwIf(rand() % 2) = 0", "now()", True),
        ("SELECT id FROM events WHERE throwIf(at > now()) = 0", "now()", True),
        ("SELECT id FROM events WHERE id IN (SELECT id FROM allowed)", "now()", True),
        ("SELECT e.id AS id FROM events AS e JOIN allowed AS a ON a.id = e.id", "now()", True),
        ("SELECT id FROM events", "toDateTime(rand())", True),
    ],
)
def test_what_makes_a_view_uncertain(
    workspace: Workspace,
    instance: Instance,
    sql: str,
    default: str,
    uncertain: bool,  # noqa: FBT001 - one of a table
) -> None:
    source = "SCHEMA >\n    id UInt64 `json:$.id`,\n    at DateTime DEFAULT {}\nENGINE_SORTING_KEY id\n"
    files = {**CHAIN, "events.datasource": source.format(default), "first_mv.pipe": VIEW.format(sql, "firsts")}
    workspace.deploy(files)
    assert workspace.live is not None
    assert is_uncertain(instance.engine, workspace.live, "events") is uncertain
    assert is_uncertain(instance.engine, workspace.live, "allowed") is False


@pytest.mark.parametrize(
    ("files", "end"), [(RANDOM["the first"], b"}"), (RANDOM["one beside it"], b".0}")], ids=["values known", "staged"]
)
def test_a_view_that_refuses_at_random_holds_no_segment_while_a_deployment_stands_beside(
    workspace: Workspace, log: WriteAheadLog, taker: Ingester, files: dict[str, str], end: bytes
) -> None:
    """The views of both have to see the rows in the insert itself, and no insert of 80 rows is taken as a whole."""
    live = {**CHAIN, **files}
    workspace.deploy(live)
    more = {**live, "others.datasource": IDS, "others_mv.pipe": VIEW.format("SELECT id FROM events", "others")}
    number = stage(workspace, more)
    lines = [line(n)[:-1] + end for n in range(80)]
    taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60)
    taker.close()
    assert log.unfinished() == []
    assert len(check(workspace, 80)) < 40
    workspace.deployments.promote(number)
    assert ids(workspace, "others") == ids(workspace, "events")
    check(workspace, 80)
