"""Limits how fast history is copied, and stops the copying."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, Settings, paced, tagged, threads as limit_threads

_AGAIN = 0.1  # seconds


class Pace:
    """Slows down statements that copy rows, and stops them for good when the server stops."""

    def __init__(self, engine: Engine, *, threads: int = 0, rows_per_second: int = 0) -> None:
        """Limit each statement to `threads`, and all of them to `rows_per_second` (0 means no limit)."""
        self._engine = engine
        self._rows_per_second = rows_per_second
        self._stop = threading.Event()
        self._running = 0
        self.tag = uuid.uuid4().hex
        self.settings: Settings = {**tagged(self.tag), **limit_threads(threads), **paced(rows_per_second)}

    @property
    def stopped(self) -> bool:
        """Return whether `stop` was called."""
        return self._stop.is_set()

    @contextmanager
    def of(self, rows: int) -> Iterator[None]:
        """Wrap a statement that reads `rows` rows, then wait until it has taken as long as the limit asks.

        ClickHouse's own limit works only for statements that take more than a moment. Raises ClickpipeError 503 if
        stopped.
        """
        self._check()
        self._running += 1
        started = time.monotonic()
        try:
            yield
            if self._rows_per_second:
                self._stop.wait(max(0.0, rows / self._rows_per_second - (time.monotonic() - started)))
        finally:
            self._running -= 1

    def _check(self) -> None:
        if self.stopped:
            message = "The server stops. It goes on with the deployment when it starts again."
            raise ClickpipeError(message, status=503, code="stopping")

    def stop(self) -> None:
        """Start nothing more, and kill the running statement."""
        self._stop.set()
        threading.Thread(target=self._end, name="deployment-stop", daemon=True).start()

    def _end(self) -> None:
        while self._running:  # repeatedly: the statement may not have begun at the first attempt
            self._engine.cancel(self.tag)
            time.sleep(_AGAIN)
