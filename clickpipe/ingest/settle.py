"""What was inserted is made durable, so that its segments may leave the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from clickpipe.engine import Engine, EngineError
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.log_file import Segment

_LOGGER = logging.getLogger(__name__)
_SECONDS = 5.0  # writing out all that is not on the device yet takes from what is to be there now


class Settler:
    """Settles a log every few seconds. Methods may be called from any thread."""

    def __init__(self, engine: Engine, log: WriteAheadLog, again: Callable[[Sequence[Segment]], object]) -> None:
        """Start at once; `again` gets the segments that are to be inserted again."""
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
        """Settle now; with a workspace, its segments are gone from the disk when this returns, if it can be written.

        Returns whether some are to be inserted again, now or as soon as what is damaged can be taken out.
        """
        try:
            return self._log.settle(self._engine, self._again, workspace)
        except (OSError, EngineError, RuntimeError) as error:  # RuntimeError: the engine is closed
            _LOGGER.warning("segments of the log that are inserted cannot be removed yet: %s", error)
            return isinstance(error, EngineError)

    def close(self) -> None:
        """Settle, then stop."""
        self._stopped.set()
        self._thread.join()
        self.settle()
