"""What was inserted is made durable, so that its segments may leave the log."""

from __future__ import annotations

import logging
import threading

from clickpipe.ingest.log import WriteAheadLog

_LOGGER = logging.getLogger(__name__)
_SECONDS = 5.0  # writing out all that is not on the device yet takes from what is to be there now


class Settler:
    """Settles a log every few seconds. Methods may be called from any thread."""

    def __init__(self, log: WriteAheadLog) -> None:
        """Start at once."""
        self._log = log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="ingest-settle", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._stopped.wait(_SECONDS):
            self.settle()

    def settle(self, workspace: str = "") -> None:
        """Settle now; with a workspace, its segments are gone from the disk when this returns, if it can be written."""
        try:
            self._log.settle(workspace)
        except OSError as error:
            _LOGGER.warning("segments of the log that are inserted cannot be removed yet: %s", error)

    def close(self) -> None:
        """Settle, then stop."""
        self._stopped.set()
        self._thread.join()
        self.settle()
