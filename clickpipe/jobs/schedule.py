"""The schedule of pipes: starts copies and sinks when they are due (cron, UTC)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from croniter import CroniterError, croniter

from clickpipe.catalog import Job, Live
from clickpipe.compiler import CopyPipe, SinkPipe
from clickpipe.diagnostics import ClickpipeError

_SET_BACK = timedelta(hours=1)  # if the clock goes back further, it was wrong before and is right now

_LOGGER = logging.getLogger(__name__)


class ScheduledCopies(Protocol):
    """The copies and sinks of all workspaces that have a schedule."""

    def scheduled(self) -> Mapping[str, Live]:
        """Return the live deployments whose schedules are watched, by workspace id."""
        ...

    def start_due(self, workspace_id: str, name: str) -> Job | None:
        """Start a copy or a sink that is due; return None if it should not run now."""
        ...


class CopySchedule:
    """Starts copies and sinks when they are due (cron, UTC). Runs missed while the server was down are not made up."""

    def __init__(self, copies: ScheduledCopies, *, tick: float = 1.0) -> None:
        """Look every `tick` seconds which of `copies` are due."""
        self._copies = copies
        self._tick = tick
        self._stop = threading.Event()
        self._last = datetime.now(UTC)
        self._thread = threading.Thread(target=self._loop, name="copy-schedule", daemon=True)

    def start(self) -> None:
        """Start watching the clock."""
        self._thread.start()

    def run_due(self, until: datetime) -> list[Job]:
        """Start everything that was due after the last call and up to `until`."""
        if self._last - _SET_BACK < until <= self._last:
            return []  # the clock was set back a little: everything due until then has run
        since, self._last = min(self._last, until), until
        return [
            job
            for workspace, live in self._copies.scheduled().items()
            for pipe in _scheduled(live)
            if self._is_due(pipe, since, until) and (job := self._start_it(workspace, pipe.name)) is not None
        ]

    @staticmethod
    def _is_due(pipe: CopyPipe | SinkPipe, since: datetime, until: datetime) -> bool:
        try:
            return bool(pipe.schedule) and croniter(pipe.schedule, since).get_next(datetime) <= until
        except CroniterError:
            return False  # never due: a date that does not exist

    def _start_it(self, workspace: str, name: str) -> Job | None:
        try:
            return self._copies.start_due(workspace, name)
        except ClickpipeError as error:
            _LOGGER.warning("'%s' is due, and could not be started: %s", name, error.message)
            return None
        except Exception:  # go on with the others
            _LOGGER.exception("'%s' could not be started", name)
            return None

    def _loop(self) -> None:
        while not self._stop.wait(self._tick):
            try:
                self.run_due(datetime.now(UTC))
            except Exception:
                _LOGGER.exception("the copy schedule stumbled")

    def close(self) -> None:
        """Stop watching the clock."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()


def _scheduled(live: Live) -> list[CopyPipe | SinkPipe]:
    return [*live.compiled.copies.values(), *live.compiled.sinks.values()]
