"""A statement that nothing stops keeps one core, and leaves the others."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.engine.affinity import Apart

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one core, or not Linux"
)
DEAF = "SELECT sum(editDistance(repeat('ab', 20000 + number), repeat('ba', 20000))) FROM numbers(12)"


def masks() -> dict[int, set[int]]:
    found = {}
    for path in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found[int(path.name)] = os.sched_getaffinity(int(path.name))
    return found


@pytest.fixture
def before() -> set[int]:
    """Return the threads that have a core of their own anyway, such as jemalloc's."""
    return {thread for thread, cores in masks().items() if len(cores) == 1}


def kept_apart(before: set[int]) -> list[int]:
    every = os.sched_getaffinity(os.getpid())
    return [thread for thread, cores in masks().items() if cores != every and thread not in before]


def until(before: set[int], *, apart: bool) -> None:
    deadline = time.monotonic() + 120
    while bool(kept_apart(before)) is not apart:
        assert time.monotonic() < deadline, kept_apart(before)
        time.sleep(0.05)


def test_threads_of_a_stuck_statement_are_kept_on_one_core_until_it_ends(engine: Engine, before: set[int]) -> None:
    deaf = engine.submit(DEAF, settings={"max_execution_time": 1, "max_threads": 1})
    with pytest.raises(EngineError, match="Timeout exceeded"):
        deaf.result(60)
    until(before, apart=True)
    assert all(len(os.sched_getaffinity(thread)) == 1 for thread in kept_apart(before))
    until(before, apart=False)
    while engine.stuck():
        time.sleep(0.05)


def test_threads_that_have_ended_are_no_matter(before: set[int]) -> None:
    apart = Apart()
    apart.keep({2**22 + 1})
    apart.keep(())
    assert kept_apart(before) == []
