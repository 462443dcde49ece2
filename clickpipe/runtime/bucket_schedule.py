"""Looks for new files in buckets when it is time, and starts the jobs that import them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from croniter import CroniterError, croniter

from clickpipe.connect import Bucket
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import JobStopped
from clickpipe.observe import IngestionLog
from clickpipe.project import AUTO, ON_DEMAND, ONCE
from clickpipe.runtime.bucket_imports import BucketImports
from clickpipe.runtime.workspace import Workspace
from clickpipe.runtime.workspaces import Workspaces

_LOGGER = logging.getLogger(__name__)
_TICK = 1.0  # seconds
_LOOKS = 2  # buckets of a workspace that are listed at once
_Key = tuple[str, str]


class BucketSchedule:
    """Watches the buckets of all live deployments, previews aside."""

    def __init__(self, workspaces: Workspaces, log: IngestionLog, seconds: float) -> None:
        """List a bucket with the schedule @auto every `seconds`; `log` records what keeps one from being read."""
        self._workspaces = workspaces
        self._log = log
        self._seconds = seconds
        self._stop = threading.Event()
        self._looked: dict[_Key, tuple[Bucket, float]] = {}
        self._looking: dict[_Key, Future[None]] = {}
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._told: dict[_Key, str] = {}
        self._last = datetime.now(UTC)
        self._thread = threading.Thread(target=self._loop, name="buckets", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def _loop(self) -> None:
        while not self._stop.wait(_TICK):
            try:
                self.look()
            except Exception:
                _LOGGER.exception("the schedule of imports stumbled")

    def look(self) -> None:
        """Start what is due now."""
        last, self._last = self._last, datetime.now(UTC)
        for workspace_id in self._workspaces.scheduled():
            workspace = self._workspaces.get(workspace_id)
            if workspace is None:
                continue
            try:
                self._look_into(workspace, last)
            except Exception:  # go on with the others
                _LOGGER.exception("the imports of the workspace %s could not be looked at", workspace_id)

    def _look_into(self, workspace: Workspace, last: datetime) -> None:
        buckets = workspace.data.buckets
        stopped = workspace.data.stopped()
        for found in buckets.all():
            if not isinstance(found, Bucket):
                self._tell(workspace.id, *found)
            elif found.data_source not in stopped:
                self._look_at(buckets, found, last)

    def _look_at(self, buckets: BucketImports, bucket: Bucket, last: datetime) -> None:
        key = (bucket.workspace, bucket.data_source)
        if bucket.schedule == ON_DEMAND:
            self._told.pop(key, None)  # nothing keeps it from being asked
            return
        if key in self._looking:
            return
        if bucket.schedule in {AUTO, ONCE}:
            before, at = self._looked.get(key, (None, 0.0))
            if before == bucket and time.monotonic() < at + self._seconds:
                return
            self._looked[key] = (bucket, time.monotonic())
            self._in_background(key, lambda: self._start_if_new(buckets, bucket))
        elif self._is_due(bucket.schedule, last):
            self._in_background(key, lambda: self._start_if_new(buckets, bucket))

    def _is_due(self, schedule: str, last: datetime) -> bool:
        try:
            return bool(croniter(schedule, min(last, self._last)).get_next(datetime) <= self._last)
        except CroniterError:
            return False  # never: a date that does not exist

    def _in_background(self, key: _Key, look: Callable[[], None]) -> None:
        pool = self._pools.setdefault(key[0], ThreadPoolExecutor(_LOOKS, thread_name_prefix="buckets"))
        self._looking[key] = looking = pool.submit(look)
        looking.add_done_callback(lambda _: self._looking.pop(key, None))

    def _start_if_new(self, buckets: BucketImports, bucket: Bucket) -> None:
        try:
            wanted = bucket.schedule != ONCE or not buckets.has_begun(bucket)
            if wanted and buckets.has_news(bucket, self._check):
                buckets.start(bucket.data_source, again=False)
            self._told.pop((bucket.workspace, bucket.data_source), None)
        except JobStopped:
            return
        except ClickpipeError as error:
            self._tell(bucket.workspace, bucket.data_source, error)
        except Exception:
            _LOGGER.exception("the bucket of '%s' could not be read", bucket.data_source)

    def _check(self) -> None:
        if self._stop.is_set():
            raise JobStopped

    def _tell(self, workspace: str, data_source: str, error: ClickpipeError) -> None:
        """Record once what keeps a data source from importing its files."""
        key = (workspace, data_source)
        if self._told.get(key) != error.message:
            self._told[key] = error.message
            _LOGGER.warning("'%s' does not import its files: %s", data_source, error.message)
            self._log.operation(workspace, data_source, "append", seconds=0.0, error=error.message)

    def problems(self, workspace: str) -> dict[str, str]:
        """Return why data sources of a workspace do not import their files, by name."""
        return {name: problem for (id_, name), problem in list(self._told.items()) if id_ == workspace}

    def close(self) -> None:
        """Stop watching; a listing that is under way ends soon."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
