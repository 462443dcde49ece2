"""A server killed before each statement and each note of a deployment, one after another: nothing is lost or left."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow

EVENTS = """\
SCHEMA >
    id String,
    n Int32

ENGINE_PARTITION_KEY n % 2
ENGINE_SORTING_KEY id
"""
IN_ORDER = EVENTS + "ENGINE ReplacingMergeTree\n"  # history is put in front of what arrived meanwhile
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n * 1) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
FILES = {"events.datasource": EVENTS, "sums.datasource": SUMS, "sums_mv.pipe": VIEW}
CHANGES = {
    "rewritten, with a view filled anew": {
        "events.datasource": EVENTS.replace("KEY id", "KEY n, id"),
        "sums_mv.pipe": VIEW.replace("n * 1", "n * 2 / 2"),
    },
    "rewritten, with rows in order": {"events.datasource": IN_ORDER.replace("n Int32", "n Int64")},
    "altered": {"events.datasource": EVENTS.replace("n Int32", "n Int32,\n    tag String DEFAULT 'none'")},
}

KEEPS = ["0", "1000", "staged"]

# Opens the folder, as a server after a kill; tells what is there; then sends a row and deploys the files that are not
# live, and is gone before the step of that number.
RUN = """
    import json, os, re, sys, time
    from pathlib import Path
    from clickpipe.catalog import Catalog
    from clickpipe.catalog.backfills import BackfillStore
    from clickpipe.deploy import Tables
    from clickpipe.deploy.backfill import run as backfill
    from clickpipe.engine import EmbeddedEngine
    from clickpipe.runtime import Instance

    backfill._AT_ONCE = 1
    folder, first, second, number, keep = sys.argv[1:]
    first, second, left = json.loads(first), json.loads(second), int(number)

    def steps(owner, name, is_step=lambda *_: True):
        call = getattr(owner, name)

        def counted(self, *given, **named):
            global left
            if is_step(*given):
                left -= 1
                if left < 0:
                    # whole, as threads may meet here
                    os.write(1, f"killed before {name} {str(given[:1])[:90]}\\n".encode())
                    os._exit(9)
            return call(self, *given, **named)

        setattr(owner, name, counted)

    with Instance(Path(folder)) as instance:
        workspace = instance.default
        if workspace.live is None:
            workspace.deploy(first)
            workspace.ingest("events", [{"id": f"row{k}", "n": 1 + k % 2 * 2} for k in range(6)])
        instance.jobs.wait_for_all(workspace.id)
        (events,) = workspace.sql("SELECT count() AS c, sum(n) AS s, uniqExact(id) AS u FROM events")
        (sums,) = workspace.sql("SELECT sum(n) AS s FROM sums")
        used = {*workspace.live.physical.objects, *workspace.deployments._deployer.standby.objects(workspace.live)}
        found = Tables(instance.engine, workspace.database).existing()
        known = {s.value for s in (d.status for d in instance.catalog.deployments(workspace.id))}
        done = [j.status for j in instance.catalog.jobs.newest(workspace.id) if j.kind == "deployment"][:1]
        print(json.dumps({
            "live": workspace.live.deployment_id, "events": events, "sums": sums["s"], "left": sorted(found - used),
            "missing": sorted(used - found), "statuses": sorted(known), "resumed": done,
        }), flush=True)
        workspace.ingest("events", [{"id": f"sent{number}", "n": 1}])
        steps(EmbeddedEngine, "execute", lambda sql, *_: re.match("CREATE|ALTER|INSERT|DROP|EXCHANGE|TRUNCATE", sql))
        steps(Catalog, "set_status"); steps(Catalog, "promote"); steps(Catalog, "keep_until")
        steps(BackfillStore, "begin"); steps(BackfillStore, "set_done"); steps(BackfillStore, "end")
        if workspace.deployments.staging():
            workspace.deployments.discard(workspace.deployments.staging().deployment_id)
        files = second if dict(workspace.live.compiled.project.files) == first else first
        prepared = workspace.deployments.prepare(files)
        deployment, before = workspace.deployments.start(prepared), workspace.live.deployment_id
        if keep == "staged":
            workspace.deployments.stage(deployment, prepared)
            workspace.deployments.promote(deployment.id)
            workspace.deployments.promote(before)
            workspace.deployments.promote(deployment.id)
            workspace.deployments.discard(before)
        else:
            workspace.deployments.apply(deployment, prepared, keep_seconds=float(keep))
    print("deployed")
"""


@pytest.mark.parametrize("keep", KEEPS, ids=["not kept", "kept", "staged, promoted, rolled back, promoted, discarded"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_before_each_step(run_python: RunPython, tmp_path: Path, change: str, keep: str) -> None:
    stride = 1 if "CRASHES" in os.environ else 6  # `make crash-test` takes every step
    resumed = sent = 0
    number = [*itertools.product(CHANGES, KEEPS)].index((change, keep)) % stride
    while True:
        before = {**FILES, "events.datasource": IN_ORDER} if "in order" in change else FILES
        arguments = json.dumps(before), json.dumps({**before, **CHANGES[change]}), str(number), keep
        done = run_python(RUN, tmp_path, *arguments, check=False)
        lines = done.stdout.splitlines()
        found: dict[str, Any] = json.loads(lines[0])
        where = f"after a kill before step {number - stride}"
        assert found["events"] == {"c": 6 + sent, "s": 12 + sent, "u": 6 + sent}, where
        assert found["sums"] == 12 + sent, where
        assert (found["left"], found["missing"]) == ([], []), where
        assert set(found["statuses"]) <= {"data_ready", "failed", "deleted"}, where
        resumed += found["resumed"] == ["done"]
        number += stride
        sent += 1
        if lines[-1] == "deployed":
            break
        assert lines[-1].startswith("killed before"), done.stderr[-3000:]
    assert number > 20
    assert resumed > 4 / stride
