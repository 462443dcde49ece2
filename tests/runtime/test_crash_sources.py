"""A source with offsets, killed while it reads: its stored positions match its rows, and no row is missing or twice."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from tests.conftest import RunPython
from tests.runtime.test_crash import FILES, killed

pytestmark = pytest.mark.slow

# Reads three partitions, each by a thread of its own, from where they are: batches of some rows, of which some do not
# fit. Every row has its partition and offset in its id.
READER = """
    import json, random, sys, threading
    from pathlib import Path
    from clickpipe.ingest import Lines, Position
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace, seed = instance.default, int(sys.argv[2])
        workspace.deploy(json.loads(sys.argv[3]))

        def read(partition):
            moments = random.Random(f"{seed} {partition}")
            ingester = instance.ingester
            offset = ingester.positions(workspace.id, "events", "made up").get(partition, 0)
            while True:
                end = offset + moments.choice([1, 3, 20, 2000])
                lines = Lines.of(line(f"{partition}-{n}", n) for n in range(offset, end))
                position = Position("made up", {partition: end})
                wait = moments.random() < 0.3
                ingester.submit(workspace.id, "events", lines, wait=wait, position=position).result()
                offset = end
                sys.stdout.write(f"{partition} {offset}\\n")
                sys.stdout.flush()

        def line(name, number):
            value = {0: "many", 1: 1.0}.get(number % 10, 1)  # no number; what ClickHouse is asked about; what fits
            return json.dumps({"id": name, "n": value}).encode()

        threads = [threading.Thread(target=read, args=(partition,)) for partition in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
"""

FOUND = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        workspace = instance.default
        found = {
            "next": dict(instance.ingester.positions(workspace.id, "events", "made up")),
            "stored": instance.catalog.positions.read(workspace.id, "events", "made up"),
            "rows": [row["id"] for row in workspace.sql("SELECT id FROM events")],
            "kept": [row["id"] for row in workspace.sql("SELECT id FROM events_quarantine")],
            "sums": {row["id"]: row["n"] for row in workspace.sql("SELECT id, sum(n) AS n FROM sums GROUP BY id")},
        }
        print(json.dumps(found))
"""


def test_positions_match_rows(run_python: RunPython, tmp_path: Path) -> None:
    kills = int(os.environ.get("CRASHES", "6"))  # `make crash-test` has more
    moments = random.Random(11)
    told: dict[str, int] = {}
    for number in range(kills):
        for line in killed(READER, tmp_path, str(number), json.dumps(FILES), wait=moments.uniform(0, 0.7)):
            partition, offset = line.split()
            assert int(offset) > told.get(partition, 0), "a source began before what was acknowledged"
            told[partition] = int(offset)
    found = json.loads(run_python(FOUND, tmp_path).stdout)
    assert found["next"] == found["stored"]
    assert all(found["stored"][partition] >= offset for partition, offset in told.items())
    names = [(f"{partition}-{n}", n % 10 == 0) for partition, end in found["stored"].items() for n in range(end)]
    assert sorted(found["kept"]) == sorted(name for name, odd in names if odd)
    assert sorted(found["rows"]) == sorted(name for name, odd in names if not odd)
    assert found["sums"] == dict.fromkeys(found["rows"], 1)
