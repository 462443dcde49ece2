"""How far a statement is, told while it runs."""

from __future__ import annotations

import threading

import pytest

from clickpipe.deploy.backfill import progress
from clickpipe.deploy.backfill.progress import rows_told
from clickpipe.engine import EmbeddedEngine

SLOW = "SELECT sleepEachRow(0.1) FROM numbers(15) SETTINGS max_block_size = 1, log_comment = 'told'"


def test_rows_of_all_statements_of_a_tag_are_told_and_who_does_not_want_it_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.1)
    told: list[str] = []
    wrong: list[object] = []
    monkeypatch.setattr(threading, "excepthook", wrong.append)

    def tell(text: str) -> None:
        told.append(text)
        message = "not wanted"
        raise ValueError(message)

    engine = EmbeddedEngine(workers=3)
    try:
        with rows_told(engine, tell, "copying", "told"):
            for running in [engine.submit(SLOW, output="Null") for _ in range(2)]:
                running.result()
    finally:
        engine.close()
    assert len(told) > 1
    assert "of 30 rows" in told[len(told) // 2]
    assert wrong == []
