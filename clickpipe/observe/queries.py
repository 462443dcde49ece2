"""Reports on calls (`pipe_stats_rt`, `endpoint_errors`) and jobs (`jobs_log`), with the reference's columns."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clickpipe.bus import JobChanged
from clickpipe.catalog import Registry, Token, resource_id
from clickpipe.engine import QueryResult
from clickpipe.observe.log import ServiceLog

QUERY_API = "query_api"  # used as the pipe's name for calls with SQL
_MOST_TEXT = 10_000
_LONGEST_NAME = 1_000  # characters of a pipe's name: callers may ask for any


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an endpoint or of the query API: what was requested, by whom, and how."""

    pipe: str
    token: Token
    method: str
    url: str  # without a token
    request_id: str
    user_agent: str | None = None
    client_ip: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


class QueryLog:
    """Turns calls and jobs into rows of the service log."""

    def __init__(self, log: ServiceLog, workspaces: Registry) -> None:
        """Write to `log`, into the databases of `workspaces`."""
        self._log = log
        self._workspaces = workspaces

    def call(
        self, call: Call, *, seconds: float, status: int, result: QueryResult | None, error: str = "", ran: bool = True
    ) -> None:
        """Record a call: how long it took, its HTTP status, and its result; `ran` is False for a cached result."""
        workspace = call.token.workspace_id
        database = self._workspaces.database(workspace)
        start = int(time.time() - seconds)
        pipe, error = call.pipe[:_LONGEST_NAME], error[:_MOST_TEXT]
        pipe_id = QUERY_API if pipe == QUERY_API else resource_id(workspace, "pipe", pipe)
        url = call.url[:_MOST_TEXT]
        self._log.write(
            database,
            "pipe_stats_rt",
            {
                "start_datetime": start,
                "pipe_id": pipe_id,
                "pipe_name": pipe,
                "token": call.token.id,
                "token_name": call.token.name,
                "duration": seconds,
                "read_bytes": result.bytes_read if result and ran else 0,
                "read_rows": result.rows_read if result and ran else 0,
                "result_rows": result.rows if result else 0,
                "url": url,
                "error": int(bool(error)),
                "error_message": error or None,
                "status_code": status,
                "request_id": call.request_id,
                "parameters": {name: value[:_MOST_TEXT] for name, value in call.parameters.items()},
                "method": call.method,
                "user_agent": call.user_agent,
                "client_ip": call.client_ip,
            },
        )
        if error:
            row = {
                "start_datetime": start,
                "request_id": call.request_id,
                "pipe_id": pipe_id,
                "pipe_name": pipe,
                "params": json.dumps(dict(call.parameters))[:_MOST_TEXT],
                "url": url,
                "status_code": status,
                "error": error,
            }
            self._log.write(database, "endpoint_errors", row)

    def job_changed(self, event: JobChanged) -> None:
        """Record a job's current state; a newer row replaces an older one."""
        job = event.job
        resource: dict[str, Any] = {}
        if job.kind in {"copy", "sink"}:
            resource["pipe_id"] = resource_id(job.workspace_id, "pipe", job.resource)
        elif job.kind != "deployment":
            resource["datasource_id"] = resource_id(job.workspace_id, "datasource", job.resource)
        row = {
            "job_id": job.id,
            "job_type": job.kind,
            "status": job.status,
            "error": job.error or None,
            "workspace_id": job.workspace_id,
            "created_at": job.created_at[:-3],
            "started_at": job.created_at[:-3],
            "updated_at": job.updated_at[:-3],
            "job_metadata": json.dumps({"resource": job.resource, **job.told}),
            **resource,
        }
        self._log.write(self._workspaces.database(job.workspace_id), "jobs_log", row)
