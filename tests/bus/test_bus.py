"""The event bus: every subscriber gets every event of its kind, whatever the others do."""

from __future__ import annotations

import threading

import pytest

from clickpipe.bus import Bus, JobChanged, RowsReplaced


def test_events_reach_the_subscribers_of_their_class_in_order() -> None:
    bus, got = Bus(), list[tuple[str, RowsReplaced]]()
    bus.subscribe(RowsReplaced, lambda event: got.append(("first", event)))
    bus.subscribe(RowsReplaced, lambda event: got.append(("second", event)))
    bus.subscribe(JobChanged, lambda event: pytest.fail(str(event)))
    event = RowsReplaced("w", "events")
    bus.publish(event)
    assert got == [("first", event), ("second", event)]


def test_a_subscriber_that_fails_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bus, got = Bus(), list[RowsReplaced]()

    def fail(_event: RowsReplaced) -> None:
        raise RuntimeError("the disk is full")

    bus.subscribe(RowsReplaced, fail)
    bus.subscribe(RowsReplaced, got.append)
    bus.publish(RowsReplaced("w", "events"))
    assert got == [RowsReplaced("w", "events")]
    assert [record.getMessage() for record in caplog.records] == ["a subscriber failed on RowsReplaced"]
    assert "the disk is full" in caplog.text


def test_a_subscriber_may_publish_and_subscribe() -> None:
    bus, got = Bus(), list[str]()

    def again(event: RowsReplaced) -> None:
        got.append(event.data_source)
        if event.data_source == "first":
            bus.subscribe(RowsReplaced, lambda other: got.append(f"late {other.data_source}"))
            bus.publish(RowsReplaced(event.workspace, "second"))

    bus.subscribe(RowsReplaced, again)
    bus.publish(RowsReplaced("w", "first"))
    assert got == ["first", "second", "late second"]


def test_events_are_delivered_in_the_thread_that_publishes_them() -> None:
    bus, got = Bus(), list[int]()
    bus.subscribe(RowsReplaced, lambda _: got.append(threading.get_ident()))
    thread = threading.Thread(target=lambda: bus.publish(RowsReplaced("w", "events")))
    thread.start()
    thread.join()
    assert got == [thread.ident]
