"""Segments leave the log when their rows are on disk; where the disk did not take them, they come in again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import RunPython
from tests.ingest.conftest import FILES

# A limit on the size of files stands for a disk that is full for a moment, with room again when somebody looks.
FULL_FOR_A_MOMENT = """
    import json, os, resource, signal, sys, time
    from pathlib import Path
    from clickpipe.engine import damage
    from clickpipe.ingest import Lines
    from clickpipe.runtime import Instance

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    damage.Inspector._free = lambda _: 1 << 40

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with Instance(Path(sys.argv[1])) as instance:
        workspace, insert = instance.default, instance.engine.insert
        workspace.deploy(json.loads(sys.argv[2]))
        full = []

        def insert_on_a_full_disk(table, *given):
            if full and table.startswith("`ws_"):
                limit(full.pop())
            try:
                insert(table, *given)
            finally:
                limit(resource.RLIM_INFINITY)

        instance.engine.insert = insert_on_a_full_disk

        def send(first):
            lines = [b'{"id":"%d","n":1}' % n for n in range(first, first + 300)]
            return workspace.data.submit("events", Lines.of(lines)).result().successful_rows

        def counts():
            sql = "SELECT (SELECT count() FROM events) AS a, uniqExact(id) AS b, sum(n) AS c FROM sums"
            return list(workspace.sql(sql)[0].values())

        taken = [send(0)]
        full.append(int(sys.argv[3]))
        taken += [send(300), send(600)]
        if sys.argv[4] == "settled":
            again = instance.ingester.settle()
        else:
            with instance.ingester.paused(workspace.id):
                again = not full
                assert counts() == [900, 900, 900]
        until = time.monotonic() + 30
        while counts() != [900, 900, 900] and time.monotonic() < until:
            time.sleep(0.1)
        found, left = counts(), ["unknown"]
        while left and time.monotonic() < until:
            instance.ingester.settle()
            left = [path.name for path in Path(sys.argv[1], "wal").rglob("*.*")]
        print(json.dumps({"taken": taken, "again": again, "counts": found, "left": left}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("size", [0, 300])
@pytest.mark.parametrize("how", ["settled", "paused"])
def test_what_did_not_get_to_the_disk_comes_in_again(
    run_python: RunPython, tmp_path: Path, how: str, size: int
) -> None:
    done = run_python(FULL_FOR_A_MOMENT, tmp_path, json.dumps(FILES), str(size), how)
    found = json.loads(done.stdout)
    assert found == {"taken": [300] * 3, "again": True, "counts": [900] * 3, "left": []}
    assert "did not get to the disk" in done.stderr
