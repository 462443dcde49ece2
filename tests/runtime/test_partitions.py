from __future__ import annotations

import logging

import pytest

from clickpipe.runtime import Instance, Workspace, partitions


def test_a_table_with_very_many_partitions_is_told(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = {"crowded_events.datasource": "SCHEMA >\n    id UInt32\nENGINE_PARTITION_KEY id\nENGINE_SORTING_KEY id\n"}
    workspace.deploy(files)
    monkeypatch.setattr(instance.maintenance.partitions, "_next", float("inf"))
    monkeypatch.setattr(partitions, "MANY", 40)
    told = partitions.Partitions()
    for rows, warnings in ((40, 0), (50, 1), (90, 1), (120, 2)):
        workspace.ingest("crowded_events", [{"id": number} for number in range(rows)])
        monkeypatch.setattr(told, "_next", 0.0)
        with caplog.at_level(logging.WARNING, logger="clickpipe.runtime.partitions"):
            told.look(instance.engine, instance.registry.all_live())
        assert len(caplog.records) == warnings
    assert "data source crowded_events has 50 partitions by its key id:" in caplog.text
    assert any("have very many partitions, up to 120: see the log" in problem for problem in instance.problems())
