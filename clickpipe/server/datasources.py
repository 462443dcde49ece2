"""Data sources: `GET /v0/datasources`."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clickpipe.auth import allows
from clickpipe.catalog import resource_id
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import DataSource
from clickpipe.server.context import Caller, caller
from clickpipe.server.shapes import text_response


async def list_data_sources(request: Request) -> JSONResponse:
    """Answer with the data sources that the token may read."""
    who = caller(request)
    live = who.workspace.live
    if live is None:
        return JSONResponse({"datasources": []})
    counts = await asyncio.to_thread(who.workspace.row_counts)
    readable = [s for s in live.compiled.data_sources.values() if allows(who.token, "DATASOURCES:READ", s.name)]
    return JSONResponse({"datasources": [_data_source(who, s, counts) for s in readable]})


async def get_data_source(request: Request) -> Response:
    """Answer `GET /v0/datasources/<name>`, and with its datafile where `.datasource` stands behind the name."""
    who = caller(request)
    name = request.path_params["name"]
    compiled = who.workspace.queries.live().compiled
    if name.endswith(".datasource"):
        name = name.removesuffix(".datasource")
        who.require("WORKSPACE:READ_ALL")
    else:
        who.require("DATASOURCES:READ", name)
    source = compiled.data_sources.get(name)
    if source is None:
        message = f'Data Source "{name}" does not exist'
        raise ClickpipeError(message, status=404, code="not_found")
    if request.path_params["name"] != name:
        return text_response(compiled.project.files[source.file])
    counts = await asyncio.to_thread(who.workspace.row_counts)
    return JSONResponse(_data_source(who, source, counts))


def _data_source(who: Caller, source: DataSource, counts: dict[str, tuple[int, int]]) -> dict[str, Any]:
    rows, size = counts.get(source.name, (0, 0))
    created = who.workspace.deployed_at()
    return {
        "id": resource_id(who.workspace.id, "datasource", source.name),
        "name": source.name,
        "description": source.description,
        "tags": list(source.tags),
        "created_at": created,
        "updated_at": created,
        "engine": {
            "engine": source.engine.name.text,
            "engine_sorting_key": source.engine.option("SORTING_KEY"),
            "engine_partition_key": source.engine.option("PARTITION_KEY"),
            "engine_primary_key": source.engine.option("PRIMARY_KEY"),
        },
        "columns": [
            {
                "name": c.name,
                "type": c.type,
                "codec": c.codec,
                "default_value": f"DEFAULT {c.default.text}" if c.default else None,
                "jsonpath": c.jsonpath,
                "nullable": c.nullable,
                "normalized_name": c.name,
            }
            for c in source.columns
        ],
        "statistics": {"row_count": rows, "bytes": size},
        "quarantine_rows": counts.get(f"{source.name}_quarantine", (0, 0))[0],
    }
