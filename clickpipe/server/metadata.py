"""Pipes and data sources in the shapes of published clients (which keys there are, and their names)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from starlette.requests import Request

from clickpipe.auth import allows
from clickpipe.catalog import Live, resource_id
from clickpipe.compiler import QueryFunction
from clickpipe.project import DataSource, Pipe, PipeKind, TableEngine
from clickpipe.server.context import Caller

# The only keys to send when columns are requested: clients parse these into types with exactly these fields.
_WITH_COLUMNS = ("id", "name", "columns", "engine", "indexes", "new_columns_detected", "quarantine_rows")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Resource = TypeVar("_Resource", bound=_Named)


def find(resources: Mapping[str, _Resource], workspace: str, kind: str, given: str) -> _Resource | None:
    """Return the resource with a name or id, or None."""
    by_id = (r for r in resources.values() if resource_id(workspace, kind, r.name) == given)
    return resources.get(given) or next(by_id, None)


def asked_keys(request: Request, name: str) -> list[str]:
    """Return the keys that a request selects (`attrs=id,name`); [] means all."""
    return [key.strip() for key in request.query_params.get(name, "").split(",") if key.strip()]


@dataclass(frozen=True, slots=True)
class Moment:
    """Catalog data shared by all resources of a reply: when they were deployed, and which copies are paused."""

    created: str
    paused: frozenset[str] = frozenset()


def moment(who: Caller) -> Moment:
    """Read it from the catalog, once per reply."""
    return Moment(who.workspace.deployments.deployed_at(), who.workspace.copies.paused())


def pipe_reply(
    who: Caller, live: Live, pipe: Pipe, now: Moment, attrs: Iterable[str] = (), node_attrs: Iterable[str] = ()
) -> dict[str, Any]:
    """Return a pipe. `attrs` selects its keys (plus `url`), `node_attrs` those of nodes (omitted without it)."""
    function = live.compiled.endpoints.get(pipe.name)
    created = now.created
    parameters = _parameters(function)
    columns = [{"name": c.name, "type": c.type} for c in function.columns] if function else []
    target = resource_id(who.workspace.id, "datasource", pipe.target.text) if pipe.target else None
    whole = allows(who.token, "WORKSPACE:READ_ALL") or allows(who.token, "PIPES:CREATE", pipe.name)
    node_type = pipe.kind.value
    nodes = [
        {
            "id": resource_id(who.workspace.id, "node", pipe.name, node.name),
            "name": node.name,
            "description": node.description,
            "sql": node.program.source.text if whole else "",
            "node_type": node_type if node is pipe.output else "default",
            "materialized": target if pipe.kind is PipeKind.MATERIALIZED and node is pipe.output else None,
            "params": parameters if node is pipe.output else [],
            "columns": columns if node is pipe.output else [],
        }
        for node in pipe.nodes
    ]
    reply: dict[str, Any] = {
        "id": resource_id(who.workspace.id, "pipe", pipe.name),
        "name": pipe.name,
        "description": pipe.description,
        "type": pipe.kind.value,
        "endpoint": resource_id(who.workspace.id, "node", pipe.name, pipe.output.name) if function else None,
        "url": f"/v0/pipes/{pipe.name}.json" if function else None,
        "tags": list(pipe.tags),
        "created_at": created,
        "updated_at": created,
        "parameters": parameters,
        "columns": columns,
        "nodes": nodes,
        **_target(pipe, paused=pipe.name in now.paused),
    }
    wanted, of_nodes = {*attrs}, {*node_attrs}
    if of_nodes:
        reply["nodes"] = [{key: value for key, value in node.items() if key in of_nodes} for node in nodes]
    if not wanted:
        return reply
    wanted |= {"url", *(["nodes"] if of_nodes else [])}
    return {key: value for key, value in reply.items() if key in wanted and (key != "nodes" or of_nodes)}


def _target(pipe: Pipe, *, paused: bool) -> dict[str, Any]:
    if pipe.kind is PipeKind.SINK:
        export = {name.removeprefix("EXPORT_").lower(): word.text for name, word in pipe.export.items()}
        to = export.get("bucket_uri") or export.get("kafka_topic", "")
        return {"sink_to": to, "sink_schedule": export.get("schedule", "@on-demand"), "sink_paused": paused}
    if pipe.target is None:
        return {}
    if pipe.kind is PipeKind.MATERIALIZED:
        return {"materialized_datasource": pipe.target.text}
    schedule = pipe.copy_schedule or "@on-demand"
    copy = {"copy_target_datasource": pipe.target.text, "copy_schedule": schedule, "copy_mode": pipe.copy_mode}
    return {**copy, "copy_paused": paused}


def _parameters(function: QueryFunction | None) -> list[dict[str, Any]]:
    return [
        {
            "name": p.name,
            "type": p.type,
            "default": p.default,
            "required": p.required,
            "description": p.description,
            "enum": list(p.enum),
            "example": p.example,
            "format": p.format,
        }
        for p in (function.parameters if function else ())
    ]


def data_source_reply(
    who: Caller,
    live: Live,
    source: DataSource,
    counts: Mapping[str, tuple[int, int]],
    now: Moment,
    attrs: Iterable[str] = (),
) -> dict[str, Any]:
    """Return a data source; `counts` are (rows, bytes) by name. `attrs` selects keys, plus `id` and `name`."""
    absent = (None, None) if who.token.filters else (0, 0)
    known = shown_counts(who, counts)
    rows, size = known.get(source.name, absent)
    created = now.created
    columns = [
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
    ]
    reply = {
        "id": resource_id(who.workspace.id, "datasource", source.name),
        "name": source.name,
        "description": source.description,
        "tags": list(source.tags),
        "type": "ndjson" if any(c.jsonpath for c in source.columns) else "csv",
        "created_at": created,
        "updated_at": created,
        "engine": _engine(source.engine),
        "columns": columns,
        "schema": {"columns": columns},
        "indexes": [
            {"name": i.name, "expr": i.expression, "type_full": i.type, "granularity": i.granularity}
            for i in source.indexes
        ],
        "new_columns_detected": {},
        "used_by": _used_by(who, live, source.name),
        "statistics": {"row_count": rows, "bytes": size},
        "quarantine_rows": known.get(f"{source.name}_quarantine", absent)[0],
    }
    wanted = {*attrs}
    if not wanted:
        return reply
    wanted |= {*_WITH_COLUMNS} if "columns" in wanted else {"id", "name"}
    return {key: value for key, value in reply.items() if key in wanted}


def shown_counts(who: Caller, counts: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]]:
    """Return (rows, bytes) by name, or {} for a caller limited to some rows.

    The counts of views would reveal the rows that they were made from, so such a caller sees none.
    """
    return {} if who.token.filters else counts


def with_engine_details(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a data source as its own route sends it: the engine's keys under both of their names."""
    own = {name.removeprefix("engine_"): value for name, value in reply["engine"].items()}
    return {**reply, "engine": {**reply["engine"], **own}}


def _engine(engine: TableEngine) -> dict[str, str]:
    return {
        "engine": engine.name.text,
        "engine_sorting_key": engine.option("SORTING_KEY"),
        "engine_partition_key": engine.option("PARTITION_KEY"),
        "engine_primary_key": engine.option("PRIMARY_KEY"),
    }


def _used_by(who: Caller, live: Live, name: str) -> list[dict[str, str]]:
    """Return the pipes that read a data source, among those that the caller may know."""
    names, pipes = live.compiled.names, live.compiled.project.pipes.values()
    reading = (p.name for p in pipes if p.file in names and name in names[p.file].reads)
    return [
        {"id": resource_id(who.workspace.id, "pipe", pipe), "name": pipe}
        for pipe in sorted(reading)
        if allows(who.token, "PIPES:READ", pipe)
    ]
