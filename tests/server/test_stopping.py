"""A stop ends in the time it has."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clickpipe.server import StopLimit

SLEEPS = """
import sys, threading
from clickpipe.server import StopLimit
with StopLimit(float(sys.argv[1])) as limit:
    limit.start()
    limit.start(again=True)
    threading.Event().wait(float(sys.argv[2]))
    print("closed")
threading.Event().wait(1.5)
print("ended")
"""


def sleep(limit: str, seconds: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SLEEPS, limit, seconds], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_what_takes_longer_is_cut_off_and_told() -> None:
    code, printed, told = sleep("0.3", "600")
    assert (code, printed) == (0, "")
    assert "stopped after 0.3 s (stop_seconds) with work under way" in told


@pytest.mark.parametrize("limit", ["1", "0"])
def test_what_ends_in_time_is_left_alone(limit: str) -> None:
    assert sleep(limit, "0" if limit == "1" else "0.5") == (0, "closed\nended\n", "")


@pytest.mark.parametrize(("seconds", "requests"), [(25.0, 10.0), (60.0, 10.0), (5.0, 2.0), (0.0, 10.0)])
def test_requests_have_a_part_of_it(seconds: float, requests: float) -> None:
    assert StopLimit(seconds).for_requests == requests
