"""The service data source `sinks_ops_log`; the hosted engine defines its columns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from clickpipe.catalog import Registry, resource_id, without_physical_names
from clickpipe.observe.log import ServiceLog


class SinkLog:
    """Writes what runs of sinks did to the service log. Methods are thread-safe."""

    def __init__(self, log: ServiceLog, workspaces: Registry) -> None:
        """Write to `log`, into the databases of `workspaces`."""
        self._log = log
        self._workspaces = workspaces

    def ran(
        self,
        workspace: str,
        pipe: str,
        job_id: str,
        *,
        service: str,
        seconds: float,
        rows: int = 0,
        size: int = 0,
        files: Sequence[str] = (),
        error: str = "",
        parameters: Mapping[str, object],
        options: Mapping[str, str],
    ) -> None:
        """Record a run: what it wrote, or the error. `options` are the sink's EXPORT_* lines."""
        row = {
            "timestamp": int(time.time()),
            "job_id": job_id,
            "service": service,
            "pipe_id": resource_id(workspace, "pipe", pipe),
            "pipe_name": pipe,
            "result": "error" if error else "ok",
            "error": without_physical_names(error) or None,
            "elapsed_time": seconds,
            "written_rows": rows,
            "written_bytes": size,
            "output": list(files),
            "parameters": {name: str(value) for name, value in parameters.items()},
            "options": dict(options),
        }
        self._log.write(self._workspaces.database(workspace), "sinks_ops_log", row)
