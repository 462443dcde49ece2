"""What a reader reports in the log."""

from __future__ import annotations

import logging

import pytest

from clickpipe.connect.teller import Teller
from clickpipe.connect.topic import Topic
from clickpipe.ingest import Stored

TOPIC = Topic("w", "clicks", "t", "g", "latest", Stored(), {"bootstrap.servers": "one:1"}, hidden=("secret",))


def test_a_problem_is_logged_once_a_minute_whatever_comes_between(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("clickpipe.connect.teller.time.monotonic", lambda: now[0])
    teller = Teller(TOPIC, None)
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            now[0] += 1
            teller.problem(f"one:1/bootstrap: Connect to one:1 failed: refused (after {number}ms in state CONNECT)")
            teller.problem("1/1 brokers are down")
        assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
            "one:1/bootstrap: Connect to one:1 failed: refused",
            "1/1 brokers are down",
        ]
        now[0] += 60
        teller.problem("1/1 brokers are down, secret")
        assert caplog.records[-1].getMessage().endswith("brokers are down, ***")
    assert teller.counts.errors == 101
