"""A server that reads a topic is killed again and again: each message is a row, once, and the view has it once."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunPython
from tests.connect.conftest import OFFSETS, Broker, files
from tests.connect.registries import EVENT, event, registry
from tests.runtime.test_crash import killed

pytestmark = pytest.mark.slow

READER = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.connect.topic import FIXED
    from clickpipe.runtime import Instance

    FIXED.update({"session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
    with Instance(Path(sys.argv[1])) as instance:
        instance.default.deploy(json.loads(sys.argv[2]))
        while True:
            time.sleep(0.02)
            sys.stdout.write(f"{sum(s.messages for s in instance.consumers.statuses())}\\n")
            sys.stdout.flush()
"""

FOUND = """
    import json, sys, time
    from pathlib import Path
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1])) as instance:
        end = time.monotonic() + 60
        wanted = int(sys.argv[3])
        while time.monotonic() < end:
            found = instance.default.sql(sys.argv[2])[0]
            bad = instance.default.sql("SELECT count() AS n FROM events_quarantine")[0]["n"]
            if int(found["rows"]) + int(bad) >= wanted:
                break
            time.sleep(0.2)
        time.sleep(2)
        print(json.dumps({**instance.default.sql(sys.argv[2])[0], "bad": bad}))
"""


def test_no_message_is_lost_or_twice(run_python: RunPython, tmp_path: Path, broker: Broker) -> None:
    def send(each: int) -> None:
        for part in range(4):
            broker.send(range(each), part)
            broker.raw(b"no json", partition=part)
        broker.producer.flush(20)

    kills = int(os.environ.get("CRASHES", "6"))
    _kill(run_python, tmp_path, files(broker.servers, broker.topic), send, kills)


def test_no_message_in_avro_is_lost_or_twice(run_python: RunPython, tmp_path: Path, broker: Broker) -> None:
    def send(each: int) -> None:
        for part in range(4):
            for number in range(each):
                broker.raw(event(str(number)), partition=part)
            broker.raw(event("no schema", schema=9), partition=part)
        broker.producer.flush(20)

    with registry() as schemas:
        schemas.add(1, EVENT)
        made = files(broker.servers, broker.topic, KAFKA_VALUE_FORMAT="avro")
        made["broker.connection"] += f"KAFKA_SCHEMA_REGISTRY_URL {schemas.url}\n"
        _kill(run_python, tmp_path, made, send, int(os.environ.get("CRASHES", "3")))


def _kill(
    run_python: RunPython, tmp_path: Path, sources: dict[str, str], send: Callable[[int], None], kills: int
) -> None:
    each = 2000
    moments = random.Random(5)
    made = json.dumps(sources)
    sent = 0

    read = 0
    for _ in range(kills):
        sending = threading.Thread(target=send, args=(each,))
        sending.start()
        told = killed(READER, tmp_path, made, wait=moments.uniform(0, 6))
        read += int(told[-1]) if told else 0
        sending.join()
        sent += 4 * each
    assert read > 0, "it was always killed before it read anything"
    found = json.loads(run_python(FOUND, tmp_path, OFFSETS, str(sent + 4 * kills)).stdout)
    assert {name: int(value) for name, value in found.items()} == {
        "rows": sent,
        "places": sent,
        "sums": sent,
        "n": sent,
        "bad": 4 * kills,
    }
