"""How fast history is copied, and whether it is to be stopped."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, Settings

_AGAIN = 0.1  # seconds


class Pace:
    """Holds back what copies rows, and stops it for good when the server stops."""

    def __init__(self, engine: Engine, *, threads: int = 0, rows_per_second: int = 0) -> None:
        """Let each statement have so many threads, and all so many rows a second (0: as many as it can)."""
        self._engine = engine
        self._rows_per_second = rows_per_second
        self._stop = threading.Event()
        self._running = 0
        self.tag = uuid.uuid4().hex
        self.settings: Settings = {"log_comment": self.tag, **({"max_threads": threads} if threads else {})}
        if rows_per_second:
            self.settings = {
                **self.settings,
                "max_execution_speed": rows_per_second,
                "timeout_before_checking_execution_speed": 0,
            }

    @property
    def stopped(self) -> bool:
        """Tell whether it was stopped."""
        return self._stop.is_set()

    @contextmanager
    def of(self, rows: int) -> Iterator[None]:
        """Run within what reads so many rows; end when they may have been read. Raises ClickpipeError 503 if stopped.

        ClickHouse keeps to the pace by itself only where a statement takes longer than a moment.
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
        """Run nothing more, and end the statement that runs."""
        self._stop.set()
        threading.Thread(target=self._end, name="deployment-stop", daemon=True).start()

    def _end(self) -> None:
        while self._running:  # again and again: a statement may not have begun when it is asked to end
            self._engine.cancel(self.tag)
            time.sleep(_AGAIN)
