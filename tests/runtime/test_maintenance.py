"""Maintenance: one task that fails holds up no other."""

from __future__ import annotations

import pytest

from clickpipe.runtime import Instance


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
