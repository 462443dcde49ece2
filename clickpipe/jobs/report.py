"""What a job's work tells of itself, and how it learns that nobody wants it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_AGAIN = 0.1  # seconds
PATIENCE = 10.0  # seconds for a statement to end by itself when the server stops


class JobCancelled(Exception):
    """Raised in a job's work when it is not wanted any more."""


class JobStopped(Exception):
    """Raised in a job's work when the server stops: the next one goes on with it, where that can be done."""


class Report:
    """Called with a job's result so far; then the work ends there if it was cancelled meanwhile."""

    def __init__(self, tell: Callable[[Mapping[str, Any]], None] = lambda _: None) -> None:
        """Give what is reported to `tell`."""
        self._tell = tell
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self.cancelled = False
        self.stopped = False
        self.ended = threading.Event()  # a statement that is waited for is waited for no longer

    def __call__(self, result: Mapping[str, Any]) -> None:
        """Report a result. Raises JobCancelled, JobStopped: what was reported is recorded then too."""
        self._tell(result)
        self.check()

    def tell(self, result: Mapping[str, Any]) -> None:
        """Report a result of what is carried out whoever wants it no more."""
        self._tell(result)

    def check(self) -> None:
        """Raise JobCancelled if the job was cancelled, JobStopped if the server stops."""
        if self.cancelled:
            raise JobCancelled
        if self.stopped:
            raise JobStopped

    @contextmanager
    def stoppable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Have `stop` called when the job is cancelled in here, until this is left. Raises JobCancelled before."""
        with self._lock:
            self._stop = stop
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._stop = None

    @contextmanager
    def ending(self, stop: Callable[[], None], cancel: Callable[[], None] | None = None) -> Iterator[None]:
        """Have `stop` called when the server stops in here; what was begun is not cancelled any more.

        `cancel` ends what comes before that, where something does. Raises JobStopped, and JobCancelled before that.
        """
        with self._lock:
            self._stop = lambda: stop() if self.stopped else cancel() if cancel else None
        try:
            if self.stopped:
                raise JobStopped
            if self.cancelled and cancel:
                raise JobCancelled
            yield
        finally:
            with self._lock:
                self._stop = None

    def stop(self) -> None:
        """Have the work end soon: the server stops."""
        self.stopped = True
        timer = threading.Timer(PATIENCE, self.ended.set)
        timer.daemon = True
        timer.start()
        threading.Thread(target=self._stop_it, name="job-stop", daemon=True).start()

    def cancel(self) -> None:
        """Want the work no more."""
        self.cancelled = True
        threading.Thread(target=self._stop_it, name="job-cancel", daemon=True).start()

    def _stop_it(self) -> None:
        """Stop what can be stopped, again and again: a query may not have begun when it is asked to end."""
        while True:
            with self._lock:
                if self._stop is None:
                    return
                self._stop()
            time.sleep(_AGAIN)
