"""A file on its way in when the server is killed: it goes on where it was, and the job tells what is there."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.conftest import RunPython, python_environment
from tests.runtime.test_crash import FILES

pytestmark = pytest.mark.slow

ROWS = 120_000
IMPORTS = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.runtime import Instance, Upload

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        workspace.deploy(json.loads(sys.argv[2]))
        path = instance.upload_path("file")
        rows = [b'{"id":"%d","n":%s}' % (k, b"1" if k % 1000 else b'"x"') for k in range(int(sys.argv[3]))]
        path.write_bytes(b"\\n".join(rows))
        workspace.data.import_file(Upload("events", path, "ndjson"), mode=sys.argv[4])
        print("started", flush=True)
        time.sleep(600)
"""
STATE = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        instance.jobs.wait_for_all(workspace.id)
        sums = workspace.sql("SELECT sum(n) AS n FROM sums")[0]["n"]
        (found,) = workspace.sql(
            "SELECT count() AS rows, uniqExact(id) AS different, "
            "(SELECT count() FROM events_quarantine) AS bad FROM events"
        )
        (job,) = [job for job in instance.catalog.jobs.newest(workspace.id) if job.kind == "import"]
        told = [job.status, job.result["rows"], job.result["quarantine_rows"]]
        left = [name for name in workspace.deployments._deployer._tables.existing() if "_import_" in name]
        left += [path.name for path in Path(sys.argv[1], "uploads").iterdir()]
        print(json.dumps({**found, "sums": sums, "told": told, "left": left}))
"""


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_killed_import_goes_on_where_it_was(run_python: RunPython, tmp_path: Path, mode: str) -> None:
    moments = random.Random(3)
    for number in range(int(os.environ.get("CRASHES", "3"))):
        folder = tmp_path / str(number)
        command = [sys.executable, "-c", textwrap.dedent(IMPORTS), str(folder), json.dumps(FILES), str(ROWS), mode]
        with subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            time.sleep(moments.uniform(0, 0.6))
            process.kill()
        found = json.loads(run_python(STATE, folder).stdout)
        good, bad = ROWS - ROWS // 1000, ROWS // 1000
        sums = good if mode == "append" else 0  # views see what is appended
        told = ["done", good, bad]
        assert found == {"rows": good, "different": good, "bad": bad, "sums": sums, "told": told, "left": []}


@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("removed", [False, True], ids=["file there", "file gone"])
def test_an_import_killed_at_its_end_is_done(
    run_python: RunPython, tmp_path: Path, mode: str, *, removed: bool
) -> None:
    """All rows are in, and the job is not recorded yet: it is neither an error nor imported twice."""
    dying = """
    import os
    from clickpipe.runtime.upload import Upload

    def remove(upload, remove=Upload.remove):
        if REMOVED:
            remove(upload)
        os._exit(9)

    Upload.remove = remove
    """.replace("REMOVED", str(removed))
    args = (tmp_path, json.dumps(FILES), "3000", mode)
    assert run_python(dying + IMPORTS, *args, check=False).returncode == 9
    found = json.loads(run_python(STATE, tmp_path).stdout)
    told = ["done", 2997, 3]
    sums = 2997 if mode == "append" else 0
    assert found == {"rows": 2997, "different": 2997, "bad": 3, "sums": sums, "told": told, "left": []}
