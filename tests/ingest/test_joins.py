"""Tables of the engine Join, which recognize no repeated insert: a kill after an answer doubles no row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow

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


def test_a_kill_doubles_no_row(run_python: RunPython, tmp_path: Path) -> None:
    run_python(KILLED, tmp_path, json.dumps(FILES), check=False)
    found = json.loads(run_python(OPENED, tmp_path).stdout.splitlines()[-1])
    assert found == {name: [40, 40] for name in ("direct", "events", "behind")}
