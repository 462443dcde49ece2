"""Reports on ingestion: `datasources_ops_log`, `block_log`, `hfi_requests`. Columns are as in Tinybird's reference."""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from clickpipe.catalog import Registry, resource_id, without_physical_names
from clickpipe.observe.log import ServiceLog

_COUNTS = ("successful_requests", "error_requests", "rows_total", "rows_successful", "rows_quarantined")


class IngestionLog:
    """Turns what happens to data sources into rows of the service log."""

    def __init__(self, log: ServiceLog, workspaces: Registry) -> None:
        """Write to `log`, into the databases of `workspaces`."""
        self._log = log
        self._workspaces = workspaces
        self._lock = threading.Lock()
        self._requests: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._second = 0

    def operation(
        self, workspace: str, data_source: str, event_type: str, *, seconds: float, error: str = "", **more: Any
    ) -> None:
        """Record an operation on a data source: `append-hfi`, `append`, `replace`, `delete`, `truncate`, `copy`.

        `more` are further columns of `datasources_ops_log`.
        """
        row = {
            "timestamp": int(time.time()),
            "event_type": event_type,
            "datasource_id": resource_id(workspace, "datasource", data_source),
            "datasource_name": data_source,
            "result": "error" if error else "ok",
            "elapsed_time": seconds,
            "error": without_physical_names(error) or None,
            "operation_id": str(uuid.uuid4()),
            **more,
        }
        self._log.write(self._workspaces.database(workspace), "datasources_ops_log", row)

    def block(self, workspace: str, data_source: str, block: Mapping[str, Any], import_id: str, source: str) -> None:
        """Record one block of a file, with the import's counts."""
        counts = block["process_return"][0]
        row = {
            "timestamp": int(time.time()),
            "import_id": import_id,
            "source": source,
            "block_id": block["block_id"],
            "status": "done",
            "datasource_id": resource_id(workspace, "datasource", data_source),
            "datasource_name": data_source,
            "rows": counts["lines"],
            "parser": "clickhouse",
            "quarantine_lines": counts["quarantine"],
            "bytes": counts["bytes"],
            "processing_time": block["processing_time"],
        }
        self._log.write(self._workspaces.database(workspace), "block_log", row)

    def request(self, workspace: str, data_source: str, size: int, **counts: int) -> None:
        """Count a request to the events API of `size` bytes; `counts` are columns of `hfi_requests`.

        One row is written per data source and second, however many requests there are.
        """
        now = int(time.time())
        with self._lock:
            if now != self._second:
                self._tell(self._second)
                self._second = now
            found = self._requests[workspace, data_source]
            found["bytes_received"] += size
            for name, count in counts.items():
                found[name] += count

    def _tell(self, second: int) -> None:
        for (workspace, data_source), counts in self._requests.items():
            row = {
                "event_time": second,
                "workspace_id": workspace,
                "datasource_id": resource_id(workspace, "datasource", data_source),
                **{name: counts[name] for name in _COUNTS},
                **counts,
            }
            self._log.write(self._workspaces.database(workspace), "hfi_requests", row)
        self._requests.clear()

    def tell_past(self) -> None:
        """Write the counts of seconds that are over. Call this every second."""
        now = int(time.time())
        with self._lock:
            if self._requests and now != self._second:
                self._tell(self._second)

    def close(self) -> None:
        """Write the counts of the last second."""
        with self._lock:
            self._tell(self._second)
