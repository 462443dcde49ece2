"""How a job reports progress, and how it learns that it was cancelled or that the server stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_AGAIN = 0.1  # seconds
PATIENCE = 10.0  # seconds that a statement gets to finish when the server stops


class JobCancelled(Exception):
    """Raised in a job when it was cancelled; its text tells what the job left half done."""


class JobStopped(Exception):
    """Raised in a job when the server stops; it is resumed after the next start, if that is possible."""


class Report:
    """Call it with a job's result so far; the call raises if the job was cancelled meanwhile."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None] = lambda _: None, job_id: str = "") -> None:
        """Pass reports on to `tell`."""
        self.job_id = job_id
        self._tell = tell
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self.cancelled = False
        self.stopped = False
        self.ended = threading.Event()  # set when the job should stop waiting for its statement

    def __call__(self, result: Mapping[str, Any]) -> None:
        """Report a result. Raises JobCancelled or JobStopped, after recording it."""
        self._tell(result)
        self.check()

    def tell(self, result: Mapping[str, Any]) -> None:
        """Report a result of work that can no longer be cancelled."""
        self._tell(result)

    def check(self) -> None:
        """Raise JobCancelled if the job was cancelled, JobStopped if the server is stopping."""
        if self.cancelled:
            raise JobCancelled
        if self.stopped:
            raise JobStopped

    @contextmanager
    def stoppable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Within this block, call `stop` if the job is cancelled. Raises JobCancelled, JobStopped before it starts."""
        with self._lock:
            self._stop = stop
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._stop = None

    @contextmanager
    def ending(self, stop: Callable[[], None]) -> Iterator[None]:
        """Within this block, call `stop` if the server stops; the work cannot be cancelled. Raises JobStopped."""
        with self._lock:
            self._stop = lambda: stop() if self.stopped else None
        try:
            if self.stopped:
                raise JobStopped
            yield
        finally:
            with self._lock:
                self._stop = None

    def stop(self) -> None:
        """Ask the job to end soon, because the server stops."""
        self.stopped = True
        timer = threading.Timer(PATIENCE, self.ended.set)
        timer.daemon = True
        timer.start()
        threading.Thread(target=self._stop_it, name="job-stop", daemon=True).start()

    def cancel(self) -> None:
        """Ask the job to end, because it was cancelled."""
        self.cancelled = True
        threading.Thread(target=self._stop_it, name="job-cancel", daemon=True).start()

    def _stop_it(self) -> None:
        """Stop what can be stopped, repeatedly: a query may not have begun at the first attempt."""
        while True:
            with self._lock:
                if self._stop is None:
                    return
                self._stop()
            time.sleep(_AGAIN)
