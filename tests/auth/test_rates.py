from __future__ import annotations

import pytest

from clickpipe.auth import RateLimit
from clickpipe.diagnostics import ClickpipeError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_second_takes_so_much_and_tells_when_to_come_again() -> None:
    clock = Clock()
    limit = RateLimit("requests", 3, clock)
    left = [limit.take("a")["X-RateLimit-Remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    with pytest.raises(ClickpipeError, match="More than 3 requests a second") as error:
        limit.take("a")
    assert error.value.status == 429
    assert error.value.headers == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1",
        "Retry-After": "1",
    }
    limit.take("b")  # a key of its own
    clock.now = 0.4
    limit.take("a")
    with pytest.raises(ClickpipeError):
        limit.take("a")
    clock.now = 60.0
    for _ in range(3):
        limit.take("a")
    with pytest.raises(ClickpipeError):
        limit.take("a")


def test_an_amount_that_is_larger_than_a_second_takes_comes_through_alone() -> None:
    clock = Clock()
    limit = RateLimit("bytes", 100, clock)
    limit.take("a", 1000)
    with pytest.raises(ClickpipeError):
        limit.take("a", 1)
    clock.now = 11.0
    limit.take("a", 1)


def test_no_limit_is_none() -> None:
    assert RateLimit("bytes", 0).take("a", 10**9) == {}
