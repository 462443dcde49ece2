"""Tables of the engine Join, which recognize no repeated insert: a kill after an answer doubles no row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.ingest import Ingester, WriteAheadLog
from clickpipe.ingest.log_file import Record
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.ingest.conftest import ONE

JOIN = "ENGINE Join\nENGINE_JOIN_STRICTNESS ALL\nENGINE_JOIN_TYPE LEFT\nENGINE_KEY_COLUMNS id\n"
SCHEMA = "SCHEMA >\n    id UInt64 `json:$.id`,\n    v String `json:$.v`\n"
FILES = {
    "direct.datasource": SCHEMA + JOIN,
    "events.datasource": SCHEMA + "ENGINE_SORTING_KEY id\n",
    "behind.datasource": SCHEMA.replace(" `json:$.id`", "").replace(" `json:$.v`", "") + JOIN,
    "behind_mv.pipe": "NODE n\nSQL >\n    SELECT id, v FROM events\nTYPE materialized\nDATASOURCE behind\n",
}
KILLED = """
    import json, os, sys, time
    from pathlib import Path
    from clickpipe.ingest import Lines
    from clickpipe.runtime import Instance

    folder, files = Path(sys.argv[1]), json.loads(sys.argv[2])
    instance = Instance(folder)
    workspace = instance.default
    workspace.deploy(files)
    for number in range(4):
        for name in ("direct", "events"):
            lines = [b'{"id":%d,"v":"x"}' % (10 * number + n) for n in range(10)]
            workspace.data.submit(name, Lines.of(lines), wait=number < 3).result()
    time.sleep(0.1)  # 3 segments are in, and the fourth waits for others
    os._exit(9)
"""
OPENED = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        with instance.default.lock.paused():
            pass  # all that was logged is in
        found = {}
        for name in ("direct", "events", "behind"):
            (row,) = instance.default.sql(f"SELECT count() AS n, uniqExact(id) AS ids FROM {name}")
            found[name] = [row["n"], row["ids"]]
        print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_kill_doubles_no_row(run_python: RunPython, tmp_path: Path) -> None:
    run_python(KILLED, tmp_path, json.dumps(FILES), check=False)
    found = json.loads(run_python(OPENED, tmp_path).stdout.splitlines()[-1])
    assert found == {name: [40, 40] for name in ("direct", "events", "behind")}


def test_a_repeated_insert_that_may_double_rows_is_told(
    workspace: Workspace, log: WriteAheadLog, instance: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    """A Join table of another strictness keeps one row of each key."""
    once = {name.replace("behind", "first"): text.replace("behind", "first") for name, text in FILES.items()}
    once["first.datasource"] = once["first.datasource"].replace("STRICTNESS ALL", "STRICTNESS ANY")
    workspace.deploy({**FILES, **once})
    for _ in range(2):  # the second, as if a kill had come behind the insert of the first
        for name in ("direct", "events"):
            segment = log.write(workspace.id, name, [Record(ONE, b'{"id":1,"v":"x"}')])
            segment.path.rename(segment.path.with_name("1.wal"))
        again = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
        again.recover()
        again.close()
    found = {name: len(workspace.sql(f"SELECT id, v FROM {name}")) for name in ("direct", "events", "behind", "first")}
    assert found == {"direct": 2, "events": 1, "behind": 2, "first": 1}
    told = [record.getMessage() for record in caplog.records if "rows twice" in record.getMessage()]
    wanted = [f"{name} may have its rows twice" for name in ("behind", "direct") for _ in range(2)]
    assert sorted(text.split(": ")[1] for text in told) == wanted
