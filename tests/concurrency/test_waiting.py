"""Results of other threads reach who waits for them, however many come at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from clickpipe.concurrency import result_of


def test_results_and_errors_of_many_threads_arrive() -> None:
    done: list[Future[int]] = [Future() for _ in range(300)]

    def finish(part: list[Future[int]]) -> None:
        for number, one in enumerate(part):
            if number % 3:
                one.set_result(number)
            else:
                one.set_exception(ValueError(number))

    async def run() -> list[int | BaseException]:
        waiting = [result_of(one) for one in done]
        threads = [threading.Thread(target=finish, args=(done[first : first + 100],)) for first in (0, 100, 200)]
        for thread in threads:
            thread.start()
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    found = asyncio.run(run())
    assert [str(one) for one in found] == [str(number) for number in range(100)] * 3
    assert [isinstance(one, ValueError) for one in found] == [number % 3 == 0 for number in range(100)] * 3


def test_one_who_left_hinders_nobody() -> None:
    async def run() -> int:
        first: Future[int] = Future()
        second: Future[int] = Future()
        third: Future[int] = Future()
        left, there, ended = result_of(first), result_of(second), result_of(third)
        left.cancel()
        third.cancel()
        first.set_result(1)
        second.set_result(2)
        with pytest.raises(asyncio.CancelledError):
            await ended
        return await there

    assert asyncio.run(run()) == 2


def test_a_loop_that_has_ended_is_left_alone() -> None:
    done: Future[int] = Future()

    async def run() -> None:
        result_of(done)

    asyncio.run(run())
    done.set_result(1)
