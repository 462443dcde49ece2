"""Connections to other systems, with the data sources that read them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import allows
from clickpipe.catalog import Live, resource_id
from clickpipe.concurrency import in_thread
from clickpipe.project import Connection, users_of
from clickpipe.runtime import Instance, Workspace
from clickpipe.server.context import caller, instance_of
from clickpipe.server.jobs import started

# Directives whose values may be shown; a secret in one is shown as it is written in the file, by its name.
_SHOWN = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "S3_REGION", "S3_ENDPOINT")


async def list_connectors(request: Request) -> JSONResponse:
    """Answer `GET /v0/connectors` with the connections of the project, for tokens that may read all of it."""
    who = caller(request)
    live = who.workspace.live
    if live is None or not allows(who.token, "WORKSPACE:READ_ALL"):
        return JSONResponse({"connectors": []})
    return JSONResponse({"connectors": await in_thread(_connectors, instance_of(request), who.workspace, live)})


async def post_check(request: Request) -> JSONResponse:
    """Answer `POST /v1/connectors/<name>/check`: try the connection as a job."""
    who = caller(request)
    who.require("DATASOURCES:CREATE")
    job = await in_thread(who.workspace.connection_checks.start, request.path_params["name"])
    return JSONResponse(started(request, who, job))


def _connectors(instance: Instance, workspace: Workspace, live: Live) -> list[dict[str, Any]]:
    states = instance.reading(workspace)
    connections = live.compiled.project.connections.values()
    return [_connector(workspace.id, live, each, states) for each in connections]


def _connector(
    workspace: str, live: Live, connection: Connection, states: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    readers, _ = users_of(live.compiled.project, connection.name)
    linkers = [
        {"name": name, "state": state, "error": error}
        for name in readers
        for state, error in [states.get(name, ("not reading", ""))]
    ]
    settings = {option.lower(): w.text for option, w in connection.options.items() if option in _SHOWN}
    return {
        "id": resource_id(workspace, "connection", connection.name),
        "service": connection.type,
        "name": connection.name,
        "linkers": linkers,
        "settings": settings,
    }
