"""Two deployments side by side: what waits in staging, promotion, and the way back."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clickpipe.catalog import DeploymentStatus
from clickpipe.deploy import Pace, Tables
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.ingest import Lines
from clickpipe.query import FORMATS, QueryOptions
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
FIRST = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
SECOND = "NODE n\nSQL >\n    SELECT 'all' AS id, sum(n) AS n FROM sums\nTYPE materialized\nDATASOURCE totals\n"
COPY = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE kept\nCOPY_MODE replace\n"
FILES = {
    "events.datasource": EVENTS,
    "sums.datasource": SUMS,
    "totals.datasource": SUMS,
    "kept.datasource": EVENTS,
    "sums_mv.pipe": FIRST,
    "totals_mv.pipe": SECOND,
    "copy.pipe": COPY,
}
WIDER = {**FILES, "events.datasource": EVENTS.replace("n Int32", "n Int64,\n    tag String DEFAULT 'none'")}
KEYED = {**FILES, "events.datasource": EVENTS.replace("KEY id", "KEY n, id")}
DOUBLED = {**FILES, "sums_mv.pipe": FIRST.replace("sum(n)", "sum(n * 2)")}
NARROW = {**FILES, "events.datasource": EVENTS.replace("Int32", "Int8")}
QUERY = EVENTS + "\nFORWARD_QUERY >\n    SELECT upper(id) AS id, toInt64(n) * 10 AS n\n"
FORWARD = {**FILES, "events.datasource": QUERY.replace("Int32", "Int64")}


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    send(workspace, "a", 1)
    return workspace


def send(workspace: Workspace, id_: str, n: int) -> None:
    assert workspace.ingest("events", [{"id": id_, "n": n}]).successful_rows == 1


def stage(workspace: Workspace, files: Mapping[str, str]) -> int:
    prepared = workspace.prepare(files)
    assert not prepared.plan.errors
    deployment = workspace.start(prepared)
    workspace.stage(deployment, prepared)
    return deployment.id


def staged(workspace: Workspace, sql: str) -> Any:
    options = QueryOptions(FORMATS["ndjson"])
    return workspace.staging_queries.sql(sql, options, lambda _kind, _name: None).result().result.body.decode().strip()


def sums(workspace: Workspace) -> list[int]:
    return [workspace.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in ("events", "sums", "totals")]


def staged_sums(workspace: Workspace) -> list[int]:
    texts = [staged(workspace, f"SELECT sum(n) AS s FROM {name}") for name in ("events", "sums", "totals")]
    return [int(text.removeprefix('{"s":').removesuffix("}")) for text in texts]


@pytest.mark.parametrize(
    ("files", "factor"),
    [
        pytest.param(WIDER, (1, 1, 1), id="types and columns"),
        pytest.param(KEYED, (1, 1, 1), id="sorting key"),
        pytest.param(DOUBLED, (1, 2, 2), id="view"),
        pytest.param(FORWARD, (10, 10, 10), id="forward query"),
    ],
)
def test_rows_reach_both_once_and_there_is_a_way_back(
    engine: Engine, deployed: Workspace, files: dict[str, str], factor: tuple[int, int, int]
) -> None:
    live = deployed.live
    number = stage(deployed, files)
    assert deployed.live is live
    send(deployed, "b", 2)
    deployed.append("events", [Lines(b'{"id":"c","n":4}')])
    assert sums(deployed) == [7, 7, 7]
    history = 1 if files is FORWARD else factor[1]  # what views made before is kept where only their source changed
    assert staged_sums(deployed) == [7 * factor[0], history + 6 * factor[1], history + 6 * factor[2]]
    before = staged_sums(deployed)
    deployed.promote(number)
    assert (deployed.live is not live, deployed.staging(), deployed.previous()) == (True, None, live)
    assert sums(deployed) == before
    send(deployed, "d", 8)
    after = sums(deployed)
    assert after[0] - before[0] == 8
    assert after[1] - before[1] == after[2] - before[2] == 8 * (2 if files is DOUBLED else 1)
    assert live is not None
    deployed.promote(live.deployment_id)
    assert deployed.live is live
    assert sums(deployed) == [15, 15, 15]
    send(deployed, "e", 16)
    assert sums(deployed) == [31, 31, 31]
    deployed.discard(number)
    send(deployed, "f", 32)
    assert sums(deployed) == [63, 63, 63]
    assert Tables(engine, deployed.database).existing() == set(live.physical.objects)


def test_the_forward_query_of_the_older_has_no_say(workspace: Workspace) -> None:
    workspace.deploy(FILES)
    workspace.deploy(FORWARD)
    wider = {**FORWARD, "events.datasource": EVENTS.replace("n Int32", "n Int64,\n    tag String DEFAULT ''")}
    older = workspace.queries.live().deployment_id
    workspace.promote(stage(workspace, wider))
    send(workspace, "b", 2)
    workspace.promote(older)
    assert sums(workspace) == [2, 2, 2]


def test_staging_is_discarded_and_leaves_nothing(engine: Engine, instance: Instance, deployed: Workspace) -> None:
    before = Tables(engine, deployed.database).existing()
    number = stage(deployed, WIDER)
    with pytest.raises(ClickpipeError, match=f"Deployment {number} waits in staging"):
        deployed.deploy(KEYED)
    with pytest.raises(ClickpipeError, match="There is no deployment 99"):
        deployed.promote(99)
    deployed.discard(number)
    found = instance.catalog.deployment(deployed.id, number)
    assert found is not None
    assert found.status is DeploymentStatus.DELETED
    assert Tables(engine, deployed.database).existing() == before
    send(deployed, "b", 2)
    assert sums(deployed) == [3, 3, 3]
    deployed.deploy(KEYED)
    assert sums(deployed) == [3, 3, 3]


def test_values_that_do_not_fit_stop_nothing(deployed: Workspace) -> None:
    number = stage(deployed, NARROW)
    send(deployed, "b", 1000)
    assert sums(deployed) == [1001, 1001, 1001]
    assert staged_sums(deployed)[0] == 1
    assert number


def test_bad_rows_reach_both_quarantines(deployed: Workspace) -> None:
    stage(deployed, WIDER)
    assert deployed.ingest("events", [{"id": "x", "n": "many"}]).quarantined_rows == 1
    assert staged(deployed, "SELECT id, n FROM events_quarantine") == '{"id":"x","n":"many"}'


@pytest.mark.parametrize("change", ["truncate", "delete", "copy"])
def test_what_is_done_to_whole_tables_is_not_passed_on(instance: Instance, deployed: Workspace, change: str) -> None:
    kept = {**WIDER, "kept.datasource": WIDER["events.datasource"]}
    number = stage(deployed, kept)
    if change == "truncate":
        deployed.truncate("events")
    elif change == "delete":
        deployed.delete_rows("events", "id = 'a'")
    else:
        job = deployed.copy("copy")
        instance.jobs.wait(job.id)
    name = "kept" if change == "copy" else "events"
    with pytest.raises(ClickpipeError, match=f"rows of {name} were replaced or deleted") as caught:
        deployed.promote(number)
    assert caught.value.status == 409
    deployed.discard(number)
    deployed.promote(stage(deployed, kept))


def test_what_both_share_is_never_outdated(deployed: Workspace) -> None:
    number = stage(deployed, DOUBLED)
    deployed.truncate("kept")
    deployed.promote(number)


def test_a_deployment_behind_live_goes_with_the_next(engine: Engine, deployed: Workspace) -> None:
    deployed.promote(stage(deployed, WIDER))
    assert deployed.previous() is not None
    deployed.deploy(KEYED)
    assert deployed.previous() is None
    live = deployed.queries.live()
    assert Tables(engine, deployed.database).existing() == set(live.physical.objects)


def test_a_writer_and_a_reader_notice_nothing(deployed: Workspace) -> None:
    """Rows are written all the time while deployments are staged, promoted, rolled back and discarded."""
    stop, sent, odd = threading.Event(), [1], []

    def write() -> None:
        while not stop.is_set():
            send(deployed, f"w{sent[0]}", 1)
            sent[0] += 1

    def read() -> None:
        least = 0
        while not stop.is_set():
            try:
                found = [deployed.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in ("events", "totals")]
            except ClickpipeError as error:
                odd.append(error.message)
                return
            if min(found) < least:
                odd.append(f"{found} after {least}")
            least = min(found)

    threads = [threading.Thread(target=work) for work in (write, read)]
    for thread in threads:
        thread.start()
    try:
        for files in (WIDER, KEYED, WIDER):
            first = deployed.queries.live().deployment_id
            number = stage(deployed, files)
            deployed.promote(number)
            deployed.promote(first)
            deployed.promote(number)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert odd == []
    assert sums(deployed) == [sent[0]] * 3


RUN = """
    import importlib, json, os, sys
    from pathlib import Path
    from clickpipe.runtime import Instance
    files, wider = json.loads(sys.argv[2]), json.loads(sys.argv[3])
    step, _, killed = sys.argv[4].partition("!")
    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        if step == "stage" and workspace.live is None:
            workspace.deploy(files)
        if killed:
            module, owner, name = killed.rsplit(".", 2)
            setattr(getattr(importlib.import_module(module), owner), name, lambda *_, **__: os._exit(9))
        if step == "stage":
            workspace.ingest("events", [{"id": "a", "n": 1}])
            prepared = workspace.prepare(wider)
            workspace.stage(workspace.start(prepared), prepared)
        workspace.ingest("events", [{"id": step, "n": 1}])
        if step == "promote":
            workspace.promote(workspace.staging().deployment_id)
        if step == "rollback":
            workspace.promote(workspace.previous().deployment_id)
        beside = workspace.staging() or workspace.previous()
        sums = [workspace.sql(f"SELECT sum(n) AS s FROM {t}")[0]["s"] for t in ("events", "sums")]
        print(beside.deployment_id, *sums)
"""


def run(run_python: RunPython, folder: Path, step: str, *, check: bool = True) -> list[str]:
    return run_python(RUN, folder, json.dumps(FILES), json.dumps(WIDER), step, check=check).stdout.split()


def test_a_restart_between(run_python: RunPython, tmp_path: Path) -> None:
    """Both deployments, and what passes rows on between them, are there again."""
    assert [run(run_python, tmp_path, step) for step in ("stage", "again", "promote", "after", "rollback", "end")] == [
        ["2", "2", "2"],
        ["2", "3", "3"],
        ["1", "4", "4"],
        ["1", "5", "5"],
        ["2", "6", "6"],
        ["2", "7", "7"],
    ]


@pytest.mark.parametrize(
    ("killed", "beside"),
    [
        pytest.param("clickpipe.deploy.beside.Beside.connect", "2", id="staged, rows not passed on yet"),
        pytest.param("clickpipe.catalog.store.Catalog.promote", "2", id="rows passed on no more, not promoted"),
        pytest.param("clickpipe.auth.tokens.TokenIndex.refresh", "1", id="promoted, rows not passed back yet"),
    ],
)
def test_a_kill_at_each_step(run_python: RunPython, tmp_path: Path, killed: str, beside: str) -> None:
    first = "Beside.connect" in killed
    if not first:
        run(run_python, tmp_path, "stage")
    assert run(run_python, tmp_path, f"{'stage' if first else 'promote'}!{killed}", check=False) == []
    if first:  # it was not ready: it is gone, and is staged anew
        assert run(run_python, tmp_path, "stage") == ["3", "3", "3"]  # one row of each try, one at its end
        return
    number, events, total = run(run_python, tmp_path, "after")
    assert (number, events, total) == (beside, "4", "4")
    number, events, total = run(run_python, tmp_path, "promote" if beside == "2" else "rollback")
    assert (events, total) == ("5", "5")
    assert run(run_python, tmp_path, "end")[1:] == ["6", "6"]


@pytest.mark.parametrize("files", [WIDER, DOUBLED], ids=["a table", "a view"])
def test_rows_are_taken_while_history_is_filled(
    engine: Engine, deployed: Workspace, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]
) -> None:
    """A deployment of much data holds nobody up."""
    execute, filling, go_on = engine.execute, threading.Event(), threading.Event()

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("INSERT INTO") and "_part`" in sql:
            filling.set()
            assert go_on.wait(30)
        return execute(sql, *args, **more)

    monkeypatch.setattr(engine, "execute", run)
    thread = threading.Thread(target=lambda: deployed.deploy(files))
    thread.start()
    try:
        assert filling.wait(30)
        send(deployed, "b", 2)
        assert sums(deployed) == [3, 3, 3]
        assert deployed.staging() is None
    finally:
        go_on.set()
        thread.join()
    send(deployed, "c", 4)
    assert sums(deployed) == ([7, 14, 14] if files is DOUBLED else [7, 7, 7])


def test_a_scheduled_copy_does_not_replace_what_is_being_copied(
    engine: Engine, instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would undo the deployment; one that is asked for does."""
    kept = {**FILES, "kept.datasource": KEYED["events.datasource"]}
    execute, due = engine.execute, []

    def run(sql: str, *args: Any, **more: Any) -> Any:
        if sql.startswith("INSERT INTO") and "_part`" in sql:
            due.append(deployed.copies.start_due("copy"))
        return execute(sql, *args, **more)

    instance.jobs.wait(deployed.copy("copy").id)
    monkeypatch.setattr(engine, "execute", run)
    deployed.deploy(kept)
    assert due == [None]
    assert deployed.sql("SELECT count() AS c FROM kept") == [{"c": 1}]
    monkeypatch.undo()
    assert deployed.copies.start_due("copy") is not None


def test_a_table_without_partitions_takes_another_engine(workspace: Workspace) -> None:
    kept = {**FILES, "kept.datasource": EVENTS.replace("ENGINE_SORTING_KEY id\n", "ENGINE Memory\n")}
    workspace.deploy(kept)
    workspace.append("kept", [Lines(b'{"id":"a","n":1}')])
    number = stage(workspace, {**kept, "kept.datasource": EVENTS})
    workspace.append("kept", [Lines(b'{"id":"b","n":2}')])
    workspace.promote(number)
    assert workspace.sql("SELECT id, n FROM kept ORDER BY id") == [{"id": "a", "n": 1}, {"id": "b", "n": 2}]


def test_history_is_copied_partition_by_partition(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.deploy.history._AT_ONCE", 1)
    monthly = EVENTS.replace("ENGINE_SORTING_KEY", "ENGINE_PARTITION_KEY n % 3\nENGINE_SORTING_KEY")
    workspace.deploy({**FILES, "events.datasource": monthly})
    workspace.ingest("events", [{"id": "x", "n": n} for n in range(9)])
    told: list[str] = []
    workspace.deploy({**FILES, "events.datasource": monthly.replace("KEY id", "KEY n, id")}, progress=told.append)
    copied = [text for text in told if ", part" in text]
    assert copied == [f"copying 9 rows of events, part {number} of 3" for number in (1, 2, 3)]
    assert sums(workspace) == [36, 36, 36]


MANY = """\
NODE n
SQL >
    SELECT concat('m', toString(number)) AS id, toInt32(number = 250000 ? 13 : 0) AS n FROM numbers(300000)
TYPE copy
TARGET_DATASOURCE events
"""


def test_how_far_a_long_backfill_is_is_told(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows read of how many, once a second; held back here, so that it takes long."""
    many = MANY.replace("13 : 0", "1 : 0")
    workspace.deploy({**FILES, "many.pipe": many})
    instance.jobs.wait(workspace.copy("many").id)
    monkeypatch.setattr(workspace._deployer._applier, "_pace", Pace(instance.engine, rows_per_second=100_000))
    monkeypatch.setattr("clickpipe.deploy.watched._EVERY", 0.02)
    told: list[str] = []
    workspace.deploy({**KEYED, "many.pipe": many}, progress=told.append)
    pattern = re.compile(r"copying 300000 rows of events: [\d,]+ of 300,000 rows")
    assert [text for text in told if pattern.fullmatch(text)], told
    assert sums(workspace) == [1, 1, 1]


FUSSY = {**FILES, "sums_mv.pipe": FIRST.replace("sum(n)", "sum(n + throwIf(n % 100 = 13))")}


@pytest.mark.parametrize("how", ["events", "files", "copy"])
def test_a_view_beside_does_not_stop_the_live_one(instance: Instance, deployed: Workspace, how: str) -> None:
    deployed.deploy({**FILES, "many.pipe": MANY})
    number = stage(deployed, {**FUSSY, "many.pipe": MANY})
    if how == "copy":
        job = deployed.copy("many")
        instance.jobs.wait(job.id)
        assert deployed.sql("SELECT count() AS c, uniqExact(id) AS u FROM events") == [{"c": 300_001, "u": 300_001}]
    elif how == "events":
        send(deployed, "b", 13)
    else:
        deployed.append("events", [Lines(b'{"id":"b","n":13}')])
    send(deployed, "c", 2)
    assert sums(deployed) == [16, 16, 16]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        deployed.promote(number)
    deployed.discard(number)
    send(deployed, "d", 4)
    assert sums(deployed) == [20, 20, 20]


def test_a_view_beside_does_not_stop_a_replay(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(NARROW)
    workspace.ingest("events", [{"id": "b", "n": 1313}, {"id": "c", "n": "none"}])
    workspace.deploy(FILES)
    number = stage(workspace, {**FUSSY, "events.datasource": KEYED["events.datasource"]})
    job = workspace.replay_quarantine("events")
    instance.jobs.wait(job.id)
    assert sums(workspace) == [1313, 1313, 1313]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        workspace.promote(number)


def test_a_quarantine_that_was_replayed_is_not_replayed_in_the_other(instance: Instance, workspace: Workspace) -> None:
    workspace.deploy(NARROW)
    workspace.ingest("events", [{"id": "b", "n": 1313}])
    workspace.deploy(FILES)
    number = stage(workspace, WIDER)
    instance.jobs.wait(workspace.replay_quarantine("events").id)
    assert sums(workspace) == [1313, 1313, 1313]
    with pytest.raises(ClickpipeError, match="rows of events_quarantine were replaced or deleted"):
        workspace.promote(number)


def test_a_view_that_was_mended_is_not_in_the_way_any_more(instance: Instance, workspace: Workspace) -> None:
    """What was live before is kept beside its mended successor, with the view that refuses rows."""
    workspace.deploy(FUSSY)
    prepared = workspace.prepare(FILES)
    workspace.apply(workspace.start(prepared), prepared, keep_seconds=100)
    previous = workspace.previous()
    assert previous is not None
    send(workspace, "b", 13)
    assert sums(workspace) == [13, 13, 13]
    with pytest.raises(ClickpipeError, match="one of its views refused a row"):
        workspace.promote(previous.deployment_id)
    live = workspace.queries.live()
    workspace.deploy(DOUBLED)
    assert instance.catalog.live_deployment(workspace.id) is not None
    assert live is not workspace.live


def test_a_view_of_the_live_one_still_refuses(workspace: Workspace) -> None:
    workspace.deploy(FUSSY)
    number = stage(workspace, {**FUSSY, "kept.datasource": KEYED["events.datasource"]})
    with pytest.raises(ClickpipeError, match="a materialized view or the table refused them"):
        workspace.ingest("events", [{"id": "b", "n": 13}])
    workspace.promote(number)


STOPPED = """
    import json, sys, threading, time
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance
    folder, files, keyed, rows = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3]), int(sys.argv[4])
    with Instance(folder, Settings(backfill_rows_per_second=rows)) as instance:
        workspace = instance.default
        if workspace.live is None:
            workspace.deploy(files)
            instance.jobs.wait(workspace.copy("many").id)
            prepared = workspace.prepare(keyed)
            deployment, filling = workspace.start(prepared), threading.Event()

            def work(report):
                workspace.apply(deployment, prepared, lambda text: filling.set() if "copying" in text else None)
                return {}

            job = instance.jobs.submit(workspace.id, "deployment", "2", work)
            filling.wait()
            time.sleep(0.3)
        else:
            instance.jobs.wait_for_all(workspace.id)
            (found,) = workspace.sql("SELECT count() AS c, uniqExact(id) AS u FROM events")
            print(workspace.live.deployment_id, found["c"], found["u"], instance.catalog.jobs(workspace.id)[0].status)
    print("closed")
"""


def test_a_server_that_is_stopped_does_not_wait_for_a_backfill(run_python: RunPython, tmp_path: Path) -> None:
    """It would take five minutes; the next server goes on with it."""
    many = {"many.pipe": MANY}
    arguments = (tmp_path, json.dumps({**FILES, **many}), json.dumps({**KEYED, **many}))
    assert run_python(STOPPED, *arguments, "1000").stdout.split() == ["closed"]
    assert run_python(STOPPED, *arguments, "0").stdout.split() == ["2", "300000", "300000", "done", "closed"]
