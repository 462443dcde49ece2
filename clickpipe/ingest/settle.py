"""Makes inserted rows durable, so that their segments can leave the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from clickpipe.engine import Engine, EngineError
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Segment

_LOGGER = logging.getLogger(__name__)
_SECONDS = 5.0  # flushing everything to the device slows down current writes


class Settler:
    """Settles a log every few seconds. Methods may be called from any thread."""

    def __init__(self, engine: Engine, log: WriteAheadLog, again: Callable[[Sequence[Segment]], object]) -> None:
        """Start at once; `again` is called with segments that have to be inserted again."""
        self._engine = engine
        self._log = log
        self._again = again
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ingest-settle", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stopped.wait(_SECONDS):
            try:
                self.settle()
            except Exception:
                _LOGGER.exception("the log could not be settled")

    def settle(self, workspace: str = "") -> bool:
        """Settle now; with a workspace, its segments are removed from disk when this returns, if possible.

        Returns whether some have to be inserted again, now or once the damaged data can be removed.
        """
        try:
            return self._log.settle(self._engine, self._again, workspace)
        except (OSError, EngineError, RuntimeError) as error:  # RuntimeError: the engine is closed
            _LOGGER.warning("inserted segments of the log cannot be removed yet: %s", error)
            return isinstance(error, EngineError)

    def close(self) -> None:
        """Settle, then stop."""
        self._stopped.set()
        self._thread.join()
        self.settle()
