from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import count
from typing import Any

import pytest

from clickpipe.catalog import DeploymentStatus
from clickpipe.deploy import Tables
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
from clickpipe.ingest import IngestResult, Lines
from clickpipe.runtime import Instance, Workspace

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
FIRST = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
SECOND = "NODE n\nSQL >\n    SELECT 'all' AS id, sum(n) AS n FROM sums\nTYPE materialized\nDATASOURCE totals\n"
PLAIN = {"events.datasource": EVENTS}
FILES = {
    **PLAIN,
    "sums.datasource": SUMS,
    "totals.datasource": SUMS,
    "sums_mv.pipe": FIRST,
    "totals_mv.pipe": SECOND,
}
WIDER = {**FILES, "events.datasource": EVENTS.replace("Int32", "Int64 DEFAULT 5")}
DOUBLED = {**FILES, "sums_mv.pipe": FIRST.replace("sum(n)", "sum(n * 2)")}


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    workspace.ingest("events", [{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    workspace.ingest("events", [{"id": "a", "n": 1}, {"id": "b", "n": 2}])  # the same again is more, not a repetition
    return workspace


def sums(workspace: Workspace) -> tuple[int, int, int]:
    found = [workspace.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in ("events", "sums", "totals")]
    return found[0], found[1], found[2]


def table(workspace: Workspace, name: str) -> str:
    return workspace.queries.live().physical.tables[name]


def objects(engine: Engine, workspace: Workspace) -> set[str]:
    return Tables(engine, workspace.database).existing()


def test_rows_are_carried_over_and_only_what_changed_is_new(engine: Engine, deployed: Workspace) -> None:
    events, total = table(deployed, "events"), table(deployed, "sums")
    deployed.deploy(WIDER)
    assert table(deployed, "events") != events
    assert table(deployed, "sums") != total  # the same rows: what feeds it lies elsewhere
    assert sums(deployed) == (6, 6, 6)
    deployed.ingest("events", [{"id": "c"}])
    assert sums(deployed) == (11, 11, 11)
    assert objects(engine, deployed) == set(deployed.queries.live().physical.objects)


def test_a_new_view_is_filled_from_what_was_there(workspace: Workspace) -> None:
    workspace.deploy(PLAIN)
    workspace.ingest("events", [{"id": "a", "n": 3}])
    workspace.deploy(FILES)
    assert sums(workspace) == (3, 3, 3)


def test_a_changed_view_fills_its_target_and_those_behind_it_anew(engine: Engine, deployed: Workspace) -> None:
    deployed.deploy(DOUBLED)
    assert sums(deployed) == (6, 12, 12)
    deployed.ingest("events", [{"id": "c", "n": 1}])
    assert sums(deployed) == (7, 14, 14)
    assert objects(engine, deployed) == set(deployed.queries.live().physical.objects)


def fail_at(monkeypatch: pytest.MonkeyPatch, engine: Engine, fails: Callable[[str], bool]) -> None:
    """Let the statements for which `fails` is true fail."""
    execute = engine.execute

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if fails(sql):
            raise EngineError("Code: 243. DB::Exception: the disk is full (NOT_ENOUGH_SPACE)")
        return execute(sql, *args, **more)

    monkeypatch.setattr(engine, "execute", run)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE", "accurateCast", "SELECT id, sum(n * 2)"],
)
def test_a_failure_in_the_middle_leaves_live_answering_and_nothing_behind(
    engine: Engine, instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    files = {**WIDER, "sums_mv.pipe": DOUBLED["sums_mv.pipe"]}
    before, live = objects(engine, deployed), deployed.live
    prepared = deployed.deployments.prepare(files)
    started = deployed.deployments.start(prepared)
    fail_at(monkeypatch, engine, lambda sql: statement in sql and sql.startswith(("CREATE", "INSERT")))
    with pytest.raises(EngineError, match="disk is full"):
        deployed.deployments.apply(started, prepared)
    monkeypatch.undo()
    assert deployed.live is live
    assert objects(engine, deployed) == before
    found = instance.catalog.deployment(deployed.id, started.id)
    assert found is not None
    assert (found.status, found.live) == (DeploymentStatus.FAILED, False)
    assert found.summary["errors"] == [{"filename": "", "error": "the disk is full"}]
    deployed.ingest("events", [{"id": "c", "n": 4}])
    assert sums(deployed) == (10, 10, 10)
    deployed.deploy(files)
    assert sums(deployed) == (10, 20, 20)


def test_what_cannot_be_removed_does_not_undo_a_promotion(
    engine: Engine, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(monkeypatch, engine, lambda sql: sql.startswith("DROP TABLE"))
    deployed.deploy(WIDER)
    monkeypatch.undo()
    assert sums(deployed) == (6, 6, 6)
    deployed.deploy({**WIDER, "more.datasource": EVENTS})
    assert objects(engine, deployed) == set(deployed.queries.live().physical.objects)


def test_one_deployment_at_a_time_and_none_on_an_outdated_plan(deployed: Workspace) -> None:
    first, second = deployed.deployments.prepare(WIDER), deployed.deployments.prepare(DOUBLED)
    started = deployed.deployments.start(first)
    with pytest.raises(ClickpipeError, match="already in progress"):
        deployed.deployments.start(second)
    deployed.deployments.apply(started, first)
    with pytest.raises(ClickpipeError, match="since this one was planned"):
        deployed.deployments.start(second)
    deployed.deploy(DOUBLED)  # planned anew
    assert sums(deployed) == (6, 12, 12)


def test_rows_that_come_between_plan_and_apply_are_carried_over(workspace: Workspace) -> None:
    workspace.deploy(FILES)
    prepared = workspace.deployments.prepare(WIDER)
    workspace.ingest("events", [{"id": "a", "n": 1}])
    workspace.deployments.apply(workspace.deployments.start(prepared), prepared)
    assert sums(workspace) == (1, 1, 1)


def test_an_event_that_comes_while_the_old_view_is_removed_is_written_once(deployed: Workspace) -> None:
    joined = "SELECT id, sum(n) AS n FROM events LEFT JOIN names USING (id) GROUP BY id"
    files = {**FILES, "names.datasource": EVENTS.replace("n Int32", "name String")}
    files["sums_mv.pipe"] = FIRST.replace("SELECT id, sum(n) AS n FROM events GROUP BY id", joined)
    deployed.deploy(files)
    late: list[Future[IngestResult]] = []

    def on_removal(message: str) -> None:
        if message.startswith("removing") and not late:
            late.append(deployed.data.submit("events", Lines.of([b'{"id":"z","n":1}'])))
            wait(late, timeout=0.2)

    changed = files["names.datasource"].replace("KEY id", "KEY name")
    deployed.deploy({**files, "names.datasource": changed}, progress=on_removal)
    assert late[0].result().successful_rows == 1
    assert sums(deployed) == (7, 7, 7)


def test_events_sent_during_deployments_are_all_there_once(deployed: Workspace) -> None:
    stop, numbers = threading.Event(), count(1)

    def write() -> int:
        sent = 0
        while not stop.is_set():
            sent += deployed.ingest("events", [{"id": f"e{next(numbers)}", "n": 1}]).successful_rows
        return sent

    again = {**DOUBLED, "totals.datasource": SUMS.replace("id String", "id LowCardinality(String)")}
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        try:
            for files in (WIDER, DOUBLED, again, FILES):
                deployed.deploy(files)
        finally:
            stop.set()
    sent = sum(writer.result() for writer in writers)
    assert sent > 0
    assert sums(deployed) == (6 + sent, 6 + sent, 6 + sent)
    assert deployed.sql("SELECT uniqExact(id) AS u, count() AS c FROM events") == [{"u": 2 + sent, "c": 4 + sent}]


SHUFFLED = "NODE n\nSQL >\n    SELECT toInt64(n) AS more, n AS n, id FROM events\nTYPE materialized\nDATASOURCE wide\n"
WIDE = (
    "SCHEMA >\n    id String,\n    n Int32,\n    more Int64,\n    kind String DEFAULT 'none'\n\nENGINE_SORTING_KEY id\n"
)


def test_a_target_is_filled_by_the_names_of_columns(deployed: Workspace) -> None:
    """As the view itself writes: another order, and columns with defaults."""
    deployed.deploy({**FILES, "wide.datasource": WIDE, "wide_mv.pipe": SHUFFLED})
    deployed.ingest("events", [{"id": "c", "n": 7}])
    rows = deployed.sql("SELECT DISTINCT id, n, more, kind FROM wide ORDER BY id")
    assert rows == [
        {"id": "a", "n": 1, "more": 1, "kind": "none"},
        {"id": "b", "n": 2, "more": 2, "kind": "none"},
        {"id": "c", "n": 7, "more": 7, "kind": "none"},
    ]


def test_history_that_the_source_has_no_more_is_told_of(engine: Engine, deployed: Workspace) -> None:
    engine.execute(f"TRUNCATE TABLE {table(deployed, 'events')}")
    (warning,) = deployed.deployments.prepare(DOUBLED).plan.feedback
    assert warning.level == "WARNING"
    assert re.match(r"'sums' has \d rows and is filled anew from events, which has 0: ", warning.message)


def test_a_promotion_of_which_nobody_knows_whether_it_was_written_removes_nothing_before_its_failure_is(
    engine: Engine, instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog cannot be written any more (a full disk): what was made stays until the failure is noted."""
    monkeypatch.setattr("clickpipe.deploy.apply._AGAIN_AFTER", (0.01,))
    before, full = objects(engine, deployed), True
    set_status, promote = instance.catalog.set_status, instance.catalog.promote

    def write(call: Callable[..., None], *given: Any, **named: Any) -> None:
        if full and (call == promote or DeploymentStatus.FAILED in given):
            raise OSError(28, "database or disk is full")
        call(*given, **named)

    monkeypatch.setattr(instance.catalog, "promote", partial(write, promote))
    monkeypatch.setattr(instance.catalog, "set_status", partial(write, set_status))
    with pytest.raises(OSError, match="full"):
        deployed.deploy(DOUBLED)
    made = objects(engine, deployed)
    assert made > before
    full = False
    assert sums(deployed) == (6, 6, 6)
    deployed.ingest("events", [{"id": "a", "n": 1}])
    assert sums(deployed) == (7, 7, 7)
    deployed.deploy(DOUBLED)
    assert sums(deployed)[:2] == (7, 14)
