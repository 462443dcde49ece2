"""Jobs that a killed server left: done again where that is the same as once, else failed, with the reason."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import RunPython

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
COPY = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE kept\n"
FILES = {
    "events.datasource": EVENTS,
    "kept.datasource": EVENTS,
    "replaces.pipe": COPY + "COPY_MODE replace\n",
    "appends.pipe": COPY,
    "last.pipe": COPY,
}

# Two copies run, as many as may, and do not end; the one behind them waits. Then the
# server is killed. Other kinds have room of their own.
FIRST = """
    import json, os, sys, threading, time
    from pathlib import Path
    from clickpipe.runtime import Instance
    instance = Instance(Path(sys.argv[1]))
    workspace = instance.default
    instance.jobs._workers = 2
    workspace.deploy(json.loads(sys.argv[2]))
    workspace.ingest("events", [{"id": str(k), "n": k} for k in range(10)])
    forever = lambda *_, **__: time.sleep(600)
    workspace.data._deleter.delete = workspace.copies._run = forever
    jobs = [workspace.copy("replaces"), workspace.copy("appends"), workspace.data.delete_job("events", "n < 3")]
    jobs.append(instance.jobs.submit(workspace.id, "import", "events", forever))
    while any(instance.catalog.jobs.get(workspace.id, job.id).status != "working" for job in jobs):
        time.sleep(0.01)
    jobs.append(workspace.copy("last"))
    staged = {"condition": "n = 9", "deployment": "staging"}
    jobs.append(instance.jobs.submit(workspace.id, "delete_data", "events", forever, staged))
    print(json.dumps([job.id for job in jobs]), flush=True)
    os._exit(9)
"""
THEN = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance
    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        found = [instance.catalog.jobs.get(workspace.id, job) for job in json.loads(sys.argv[2])]
        counts = [workspace.sql(f"SELECT count() AS c FROM {name}")[0]["c"] for name in ("events", "kept")]
        print(json.dumps([[(job.status, job.error) for job in found], counts]))
"""
STOPPED = ["error", "the server stopped before the job ended"]


def test_what_a_killed_server_left(run_python: RunPython, tmp_path: Path) -> None:
    jobs = run_python(FIRST, tmp_path, json.dumps(FILES), check=False).stdout
    states, (events, kept) = json.loads(run_python(THEN, tmp_path, jobs.strip()).stdout)
    done = ["done", ""]
    assert states == [done, STOPPED, done, STOPPED, done, STOPPED]
    assert events == 7
    assert kept >= 7  # what `last` appended; `replaces` came before or after it


SUMS = "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\nENGINE AggregatingMergeTree\n"
SUMS += "ENGINE_SORTING_KEY id\n"
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
# Three populations are killed: of an emptied target, of some rows as older builds did it, and one that waits.
POPULATING = """
    import json, os, sys, time
    from pathlib import Path
    from clickpipe.jobs import Population
    from clickpipe.runtime import Instance, populating
    instance = Instance(Path(sys.argv[1]))
    workspace = instance.default
    instance.jobs._workers = 2
    workspace.deploy(json.loads(sys.argv[2]))
    workspace.ingest("events", [{"id": str(k), "n": k} for k in range(10)])
    workspace.data.truncate("sums")
    workspace.ingest("events", [{"id": "new", "n": 1}])
    real = populating.run_population
    def killed(engine, live, wanted, tables, report, *_more):
        if not wanted.truncate:
            report({"inserting": True})
        while True:
            time.sleep(1)
    populating.run_population = killed
    workspace.lock.held = lambda: __import__("contextlib").nullcontext()
    wanted = [Population("view", truncate=True), Population("view", condition="n > 3")]
    wanted.append(Population("other", truncate=True))
    jobs = [workspace.jobs.populate(one) for one in wanted]
    while any(instance.catalog.jobs.get(workspace.id, job.id).status != "working" for job in jobs[:2]):
        time.sleep(0.01)
    time.sleep(0.2)
    print(json.dumps([job.id for job in jobs]), flush=True)
    os._exit(9)
"""
POPULATED = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance
    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        found = [instance.catalog.jobs.get(workspace.id, job) for job in json.loads(sys.argv[2])]
        sums = [workspace.sql(f"SELECT sum(n) AS n, uniqExact(id) AS u FROM {name}")[0] for name in ("sums", "others")]
        print(json.dumps([[(job.status, job.error) for job in found], sums]))
"""


def test_populations_that_a_killed_server_left(run_python: RunPython, tmp_path: Path) -> None:
    files = {
        "events.datasource": EVENTS,
        "sums.datasource": SUMS,
        "others.datasource": SUMS,
        "view.pipe": VIEW,
        "other.pipe": VIEW.replace("sums", "others"),
    }
    jobs = run_python(POPULATING, tmp_path, json.dumps(files), check=False).stdout
    states, (sums, others) = json.loads(run_python(POPULATED, tmp_path, jobs.strip()).stdout)
    assert [status for status, _ in states] == ["done", "error", "done"]
    told = states[1][1]
    assert "some of its rows may be in" in told
    assert told.endswith("clickpipe materialization populate view")
    assert sums == others == {"n": 46, "u": 11}
