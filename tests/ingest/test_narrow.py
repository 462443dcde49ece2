from __future__ import annotations

from random import Random

from hypothesis import given, strategies as st

from clickpipe.ingest.narrow import Narrowed, Refused, narrow

ROWS = st.integers(1, 200)


@given(ROWS.flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), min_size=1, max_size=12))))
def test_the_rows_that_are_refused_and_no_others_are_found(case: tuple[int, set[int]]) -> None:
    rows, bad = case
    asked = 0

    def look(first: int, end: int) -> tuple[str, str] | None:
        nonlocal asked
        asked += 1
        return ("view", "no") if any(first <= row < end for row in bad) else None

    refused, taken = narrow(look, rows, 2)
    assert [one.row for one in refused] == sorted(bad)
    assert sorted(row for first, end in taken for row in range(first, end)) == sorted(set(range(rows)) - bad)
    assert asked <= 4 * (rows.bit_length() // 2 + 1) * len(bad)


def test_one_of_a_hundred_rows_evenly_is_found_without_a_look_at_each() -> None:
    asked = 0

    def look(first: int, end: int) -> tuple[str, str] | None:
        nonlocal asked
        asked += 1
        return ("view", "no") if -(-first // 100) * 100 < end else None

    assert [one.row for one in narrow(look, 10_000)[0]] == list(range(0, 10_000, 100))
    assert asked < 2000


@given(st.integers(2, 200), st.integers(1, 50))
def test_rows_that_are_refused_only_together_are_all_taken_in_pieces(rows: int, most: int) -> None:
    refused, taken = narrow(lambda first, end: ("view", "too many") if end - first > most else None, rows)
    assert refused == []
    assert [row for first, end in taken for row in range(first, end)] == list(range(rows))
    assert all(end - first <= most for first, end in taken)


def test_what_was_found_is_kept_and_read_again() -> None:
    found = Narrowed((Refused(3, "mv", "it's no number"),), ((0, 3), (4, 9)))
    assert Narrowed.of(found.as_dict()) == found


@given(st.integers(200, 3000), st.floats(0.3, 1), st.randoms(use_true_random=False))
def test_where_most_rows_are_refused_each_is_looked_at_about_once(rows: int, share: float, chance: Random) -> None:
    bad = {row for row in range(rows) if chance.random() < share} or {0}
    asked = 0

    def look(first: int, end: int) -> tuple[str, str] | None:
        nonlocal asked
        asked += 1
        return ("view", "no") if any(row in bad for row in range(first, end)) else None

    refused, _ = narrow(look, rows)
    assert [one.row for one in refused] == sorted(bad)
    assert asked <= 2 * rows
