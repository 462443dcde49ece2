"""Populations that are killed: the next server goes on, and each row is in the target once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow

FILES = {
    "events.datasource": "SCHEMA >\n    id String,\n    n Int32\nENGINE_SORTING_KEY id\n",
    "sums.datasource": "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
    "ids.datasource": "SCHEMA >\n    id String\nENGINE_SORTING_KEY id\n",
    "view.pipe": "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\n"
    "TYPE materialized\nDATASOURCE sums\n",
    "behind.pipe": "NODE n\nSQL >\n    SELECT id FROM sums\nTYPE materialized\nDATASOURCE ids\n",
}
# Tells what the process before left, empties the targets, populates again, and is killed before or
# behind the statement of the population that begins as is said; '' for none.
ROUND = """
    import json, os, signal, sys, time
    from pathlib import Path
    from clickpipe.deploy import Tables
    from clickpipe.jobs import Population
    from clickpipe.runtime import Instance

    folder, files, number, wanted, begins, moment = sys.argv[1:]
    with Instance(Path(folder)) as instance:
        workspace, number = instance.default, int(number)
        if number == 0:
            workspace.deploy(json.loads(files))
            workspace.ingest("events", [{"id": f"old{k}", "n": k} for k in range(10)])
        instance.jobs.wait_for_all(workspace.id)
        jobs = [job for job in instance.catalog.jobs.newest(workspace.id) if job.kind == "populateview"]
        found = {name: workspace.sql(f"SELECT id, count() AS n FROM {name} GROUP BY id") for name in ("events", "ids")}
        found["sums"] = workspace.sql("SELECT id, sum(n) AS n FROM sums GROUP BY id")
        found = {name: {row["id"]: int(row["n"]) for row in rows} for name, rows in found.items()}
        found["job"] = [jobs[0].status, jobs[0].error] if jobs else None
        live = workspace.queries.live()
        found["tidy"] = Tables(instance.engine, workspace.database).existing() == set(live.physical.objects)
        print(json.dumps(found), flush=True)
        if not begins:
            sys.exit()
        workspace.data.truncate("sums")
        workspace.data.truncate("ids")
        execute, database = instance.engine.execute, workspace.database

        def die():
            os.kill(os.getpid(), signal.SIGKILL)

        def fail(sql, *given, **named):
            text = sql.replace(f"`{database}`.", "")
            hit = text.startswith(begins) and ("_populate_" in text or begins.startswith("TRUNCATE"))
            if hit and moment == "before":
                die()
            result = execute(sql, *given, **named)
            if hit:
                die()
            return result

        instance.engine.execute = fail
        workspace.jobs.populate(Population(**json.loads(wanted)))
        time.sleep(60)
"""
PLAIN, SOME, EMPTIED = {"pipe": "view"}, {"pipe": "view", "condition": "n > 3"}, {"pipe": "view", "truncate": True}
# before or behind: the source kept, what the view makes of it, and that in the target
STEPS = [
    (PLAIN, "CREATE TABLE `events", "behind"),
    (PLAIN, "ALTER TABLE `events", "behind"),
    (SOME, "CREATE TABLE `sums", "behind"),
    (PLAIN, "INSERT INTO `sums_{}_populate", "behind"),
    (SOME, "INSERT INTO `sums_{}` SELECT", "before"),
    (PLAIN, "INSERT INTO `sums_{}` SELECT", "behind"),
    (SOME, "DROP TABLE IF EXISTS `sums", "behind"),
    (EMPTIED, "TRUNCATE TABLE `sums", "behind"),
    (EMPTIED, "INSERT INTO `sums_{}` SELECT", "behind"),
]


def test_a_population_goes_on_after_a_kill_at_any_step(run_python: RunPython, tmp_path: Path) -> None:
    code = "from pathlib import Path\nimport sys\nfrom clickpipe.runtime import Instance\n"
    code += "with Instance(Path(sys.argv[1])) as i: print(i.default.live.physical.tables['sums'])"
    hashed = ""
    for number, (wanted, begins, moment) in enumerate([*STEPS, (PLAIN, "", "")]):
        if number == 1:
            hashed = run_python(code, tmp_path).stdout.strip().rpartition("_")[2].strip("`")
        before = STEPS[number - 1][0]
        told = run_python(
            ROUND,
            tmp_path,
            json.dumps(FILES),
            str(number),
            json.dumps(wanted),
            begins.format(hashed),
            moment,
            check=False,
        ).stdout
        found = json.loads(told)
        assert found["events"] == {f"old{k}": 1 for k in range(10)}
        expected = {f"old{k}": k for k in range(10) if before is not SOME or k > 3}
        assert (found["sums"], found["ids"]) == (expected, dict.fromkeys(expected, 1)), STEPS[number - 1]
        assert (found["job"], found["tidy"]) == (["done", ""] if number else None, True), STEPS[number - 1]
