"""What is remembered about queries is bounded by entries and by text."""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.query.bounded import Bounded, weight


@dataclass(frozen=True)
class _Sized:
    text: str


def test_entries() -> None:
    found: Bounded[int, int] = Bounded(10)
    for number in range(25):
        found[number] = number
    assert list(found) == [20, 21, 22, 23, 24]


def test_long_keys_and_values() -> None:
    for of in (lambda text: (text, 1), lambda text: ((("a", frozenset({text})),), 1), lambda text: (1, _Sized(text))):
        found: Bounded[object, object] = Bounded(1_000, 100_000)
        for number in range(100):
            key, value = of(f"{number:020000}")
            found[(number, key)] = value
            assert len(found) <= 4
        assert found


def test_what_weighs() -> None:
    assert weight("a" * 1_000) >= 1_000
    assert weight("\U0001f600" * 1_000) >= 4_000
    assert weight((("a", ("list", "b" * 500)), {"c": "d" * 500}, 7, None)) >= 1_000
    deep: tuple[object, ...] = ()
    for _ in range(5_000):
        deep = (deep,)
    assert weight(deep) > 0
