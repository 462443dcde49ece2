"""A start that fails closes what it had opened, wherever it fails."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from clickpipe.runtime import Instance, compose

FILES = {"events.datasource": "SCHEMA >\n    id UInt32 `json:$.id`\n"}


@pytest.mark.parametrize(
    "part",
    [
        "TokenIndex",
        "ServiceLog",
        "StorageLog",
        "Ingester",
        "JobRunner",
        "Workspaces",
        "Uploads",
        "Consumers",
        "Maintenance",
        "CopySchedule",
        "Metrics",
    ],
)
def test_a_failed_start_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    with Instance(tmp_path) as instance:
        instance.default.deploy(FILES)
        instance.default.ingest("events", [{"id": 1}])
    threads = {thread.name for thread in threading.enumerate()}

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError(part)

    with monkeypatch.context() as patched:
        patched.setattr(compose, part, fail)
        with pytest.raises(RuntimeError, match=part):
            Instance(tmp_path)
    assert {thread.name for thread in threading.enumerate()} <= threads
    with Instance(tmp_path) as instance:  # the lock is free, and nothing is lost
        assert instance.default.sql("SELECT id FROM events") == [{"id": 1}]


def test_a_task_of_maintenance_that_fails_holds_up_no_other(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maintenance, done = instance.maintenance, list[str]()

    def fail() -> None:
        raise RuntimeError("no time")

    monkeypatch.setattr(instance.ingestion_log, "tell_past", fail)
    monkeypatch.setattr(maintenance, "_remove_old", lambda: done.append("removed"))
    maintenance.run()
    assert "removed" in done
    assert "maintenance: fail failed" in caplog.text
