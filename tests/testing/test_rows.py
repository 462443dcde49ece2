"""Rows compared as data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.testing.rows import csv_rows, difference, ndjson_rows, same

A, B, C = {"k": 1, "v": "a"}, {"k": 1, "v": "b"}, {"k": 2, "v": "c"}


@pytest.mark.parametrize(
    ("expected", "found", "keys", "lines"),
    [
        ([A, B, C], [A, B, C], None, []),
        ([A, B, C], [B, A, C], ("k",), []),  # equal keys: any order
        ([A, B, C], [B, A, C], (1,), []),
        ([A, B, C], [C, A, B], (), []),  # no ORDER BY
        ([A, B, C], [B, A, C], ("other",), []),  # by what the result does not have
        ([A, B, C], [C, A, B], ("k",), ["the rows are the same, but in another order"]),
        ([A, B], [B, A], None, ["the rows are the same, but in another order"]),
        ([A, B], [B, A], ("k", "v"), ["the rows are the same, but in another order"]),
        ([A, B], [A], ("k",), ['-{"k": 1, "v": "b"}']),
        ([A], [A, C], ("k",), ['+{"k": 2, "v": "c"}']),
        ([A, A], [A, B], ("k",), ['-{"k": 1, "v": "a"}', '+{"k": 1, "v": "b"}']),
        ([], [], (), []),
    ],
)
def test_what_differs(expected: list[Any], found: list[Any], keys: Any, lines: list[str]) -> None:
    told = difference(expected, found, keys).splitlines()
    assert bool(told) == bool(lines)
    for line in lines:
        assert line in told


def test_only_what_differs_is_shown() -> None:
    rows = [{"n": n} for n in range(100)]
    told = difference(rows, [*rows[:50], {"n": -1}, *rows[51:]][::-1], ()).splitlines()
    assert [line for line in told if line[:1] in "+-" and line[:3] not in {"+++", "---"}] == [
        '-{"n": 50}',
        '+{"n": -1}',
    ]


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "equal"),
    [
        (1, 1.0, 0, True),
        (2**63, 2**63 + 1, 0, False),
        (1.0, 1.0000001, 0, False),
        (1.0, 1.0000001, 1e-6, True),
        (100.0, 101.0, 0.01, True),
        (100.0, 102.0, 0.01, False),
        (0.0, 1e-9, 0.01, False),  # relative: nothing is near nothing
        ([1.0, {"x": 2.0}], [1.0000001, {"x": 2.0000001}], 1e-6, True),
        ([1.0], [1.0, 2.0], 0.5, False),
        (True, 1, 0, False),
        (None, 0, 0.5, False),
        ("1", 1, 0, False),
        ({"a": 1}, {"b": 1}, 0, False),
    ],
)
def test_values(one: Any, other: Any, tolerance: float, *, equal: bool) -> None:
    assert same(one, other, tolerance) is same(other, one, tolerance) is equal
    assert (difference([{"v": one}], [{"v": other}], (), tolerance) == "") is equal


@given(
    rows=st.lists(st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.text(max_size=2)}), max_size=8), data=st.data()
)
def test_any_order_is_the_same_without_order_by(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    assert difference(rows, data.draw(st.permutations(rows)), ()) == ""


def test_what_is_read() -> None:
    assert ndjson_rows('{"a":1}\n\n{"a":2}\n') == [{"a": 1}, {"a": 2}]
    assert ndjson_rows("1\n") is None
    assert ndjson_rows("no JSON") is None
    assert csv_rows('"a","b"\n1,"x"\n1.5,"2"\n-3,\n') == [{"a": 1, "b": "x"}, {"a": 1.5, "b": 2}, {"a": -3, "b": ""}]
