"""The copy schedule: starts copies when they are due (cron, UTC)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from croniter import croniter

from clickpipe.catalog import Job, Live

_LOGGER = logging.getLogger(__name__)


class CopySchedule:
    """Starts scheduled copies when they are due (cron, UTC). Runs missed while the server was down are not made up."""

    def __init__(
        self,
        start: Callable[[str, str], Job | None],
        live: Callable[[], Mapping[str, Live]],
        *,
        tick: float = 1.0,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        """`start` starts a copy by workspace id and name, unless it is not to run now (None).

        `live` gives what each workspace answers from, `also` is called at each look at the clock.
        """
        self._start = start
        self._live = live
        self._tick = tick
        self._also = also
        self._stop = threading.Event()
        self._last = datetime.now(UTC)
        self._thread = threading.Thread(target=self._loop, name="copy-schedule", daemon=True)

    def start(self) -> None:
        """Start watching the clock."""
        self._thread.start()

    def run_due(self, until: datetime) -> list[Job]:
        """Start every copy that was due after the last call and up to `until`."""
        if until <= self._last:
            return []  # the clock was set back: what was due up to then has run
        since, self._last = self._last, until
        started = [
            self._start(workspace, copy.name)
            for workspace, live in self._live().items()
            for copy in live.compiled.copies.values()
            if copy.schedule and croniter(copy.schedule, since).get_next(datetime) <= until
        ]
        return [job for job in started if job is not None]

    def _loop(self) -> None:
        while not self._stop.wait(self._tick):
            try:
                self.run_due(datetime.now(UTC))
                self._also()
            except Exception:
                _LOGGER.exception("the copy schedule stumbled")

    def close(self) -> None:
        """Stop watching the clock."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
