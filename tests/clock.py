"""How much of a thread's time something takes, without what a busy machine and a large suite add to it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cpu_seconds(run: Callable[[], object], times: int = 1, enough: float = 0.0) -> float:
    """Return the least CPU seconds `run` takes in up to `times` runs, fewer where one takes less than `enough`.

    The garbage collector waits: late in a suite, one of its rounds takes half a second.
    """
    least, collecting = float("inf"), gc.isenabled()
    gc.disable()
    try:
        for _ in range(times):
            began = time.thread_time()
            run()
            if (least := min(least, time.thread_time() - began)) < enough:
                break
    finally:
        if collecting:
            gc.enable()
    return least
