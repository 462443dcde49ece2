"""One workspace's calls drop no rows about another's."""

from __future__ import annotations

from clickpipe.observe.waiting_rows import WaitingRows


def test_who_has_most_loses_the_oldest() -> None:
    rows = WaitingRows(10)
    for number in range(3):
        rows.add("quiet", "calls", b"%d" % number)
    for number in range(100):
        rows.add("loud", "calls", b"%d" % number)
    assert len(rows) == 10
    assert rows.take() == {
        ("quiet", "calls"): [b"0", b"1", b"2"],
        ("loud", "calls"): [b"93", b"94", b"95", b"96", b"97", b"98", b"99"],
    }
    assert (len(rows), rows.take()) == (0, {})


def test_bytes_count_too() -> None:
    rows = WaitingRows(1_000, 10_000)
    rows.add("quiet", "jobs", b"x" * 1_000)
    for _ in range(50):
        rows.add("loud", "calls", b"y" * 4_000)
    found = rows.take()
    assert {key: len(own) for key, own in found.items()} == {("quiet", "jobs"): 1, ("loud", "calls"): 2}


def test_a_row_that_is_too_large_is_dropped() -> None:
    rows = WaitingRows(10, 100)
    rows.add("one", "calls", b"x" * 101)
    assert (len(rows), rows.take()) == (0, {})


def test_a_removed_workspace_has_no_rows() -> None:
    rows = WaitingRows(10)
    for database in ("one", "other", "one"):
        rows.add(database, "calls", b"x")
    rows.remove("one")
    rows.remove("one")
    assert len(rows) == 1
    assert rows.take() == {("other", "calls"): [b"x"]}
