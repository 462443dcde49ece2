"""OpenAPI 3.1: each endpoint with its parameters and the rows that it returns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from clickpipe.compiler import QueryFunction, ResultColumn
from clickpipe.generate.types import JSONType, Kind, items_of, json_type
from clickpipe.template import Parameter

_NUMBERS = {"type": "integer", "minimum": 0}
_ERROR = {
    "description": "The error.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def openapi_document(endpoints: Iterable[QueryFunction], title: str, version: str) -> dict[str, Any]:
    """Return the document for some endpoints, as JSON values; `version` is that of the project."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {f"/v0/pipes/{e.name}.json": {"get": _get(e), "post": _post(e)} for e in endpoints},
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {}, "documentation": {"type": "string"}},
                    "required": ["error"],
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "token": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
        "security": [{"bearer": []}, {"token": []}],
    }


def _get(endpoint: QueryFunction) -> dict[str, Any]:
    parameters = [_parameter(p) for p in endpoint.parameters]
    return {"operationId": endpoint.name, "parameters": parameters, **_described(endpoint)}


def _post(endpoint: QueryFunction) -> dict[str, Any]:
    """Return the POST operation, for parameters that are too long for a URL."""
    properties = {p.name: parameter_schema(p) for p in endpoint.parameters}
    required = [p.name for p in endpoint.parameters if p.required]
    schema = {"type": "object", "properties": properties, **({"required": required} if required else {})}
    body = {"required": bool(required), "content": {"application/json": {"schema": schema}}}
    return {"operationId": f"{endpoint.name}_post", "requestBody": body, **_described(endpoint)}


def _described(endpoint: QueryFunction) -> dict[str, Any]:
    summary = endpoint.description.strip().split("\n")[0]
    return {
        **({"summary": summary, "description": endpoint.description.strip()} if summary else {}),
        "responses": {
            "200": {
                "description": "The rows.",
                "content": {"application/json": {"schema": _result(endpoint.columns)}},
            },
            "400": _ERROR,
            "403": _ERROR,
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter_schema(parameter)
    found: dict[str, Any] = {"name": parameter.name, "in": "query", "required": parameter.required, "schema": schema}
    if parameter.description:
        found["description"] = parameter.description
    if parameter.example:
        found["example"] = parameter.example
    if schema.get("type") == "array":
        found |= {"style": "form", "explode": False}
    return found


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's value."""
    name, listed = items_of(parameter.type)
    items = _parameter_type(name)
    if parameter.enum:
        items = {**items, "enum": [_as(choice, items) for choice in parameter.enum]}
    schema = {"type": "array", "items": items} if listed else items
    if parameter.default is not None and _fits(parameter.default):
        default = parameter.default
        schema = {**schema, "default": str(default).split(",") if listed and isinstance(default, str) else default}
    return schema


def _parameter_type(name: str) -> dict[str, Any]:
    if name == "Boolean":
        return {"type": "integer", "enum": [0, 1]}
    if name == "JSON":
        return {"type": "string", "contentMediaType": "application/json"}
    if name in {"DateTime", "DateTime64"}:
        return {"type": "string", "examples": ["2024-01-31 12:00:00" + (".000" if name == "DateTime64" else "")]}
    return json_schema(json_type(name))


def _as(choice: str, schema: dict[str, Any]) -> Any:
    """Convert a choice to a value of its type."""
    if schema.get("type") in {"integer", "number"}:
        try:
            return json.loads(choice)
        except ValueError:
            return choice
    return choice


def _fits(default: Any) -> bool:
    return isinstance(default, str | int | float | list | bool)


def _result(columns: Iterable[ResultColumn]) -> dict[str, Any]:
    found = list(columns)
    row = {
        "type": "object",
        "properties": {c.name: json_schema(json_type(c.type)) for c in found},
        "required": [c.name for c in found],
    }
    meta = {"type": "object", "properties": {"name": {"type": "string"}, "type": {"type": "string"}}}
    statistics = {"elapsed": {"type": "number"}, "rows_read": _NUMBERS, "bytes_read": _NUMBERS}
    return {
        "type": "object",
        "properties": {
            "meta": {"type": "array", "items": meta},
            "data": {"type": "array", "items": row},
            "rows": _NUMBERS,
            "rows_before_limit_at_least": _NUMBERS,
            "statistics": {"type": "object", "properties": statistics},
        },
        "required": ["meta", "data", "rows", "statistics"],
    }


def json_schema(type_: JSONType) -> dict[str, Any]:
    """Return the JSON Schema of a type."""
    found = _schema(type_)
    if not type_.nullable or not found:
        return found
    if "enum" in found:
        return {**found, "type": [found["type"], "null"], "enum": [*found["enum"], None]}
    return {**found, "type": [found["type"], "null"]}


def _schema(type_: JSONType) -> dict[str, Any]:
    kind = type_.kind
    if kind is Kind.UNKNOWN:
        return {}
    if kind is Kind.ENUM:
        return {"type": "string", "enum": list(type_.choices)}
    if kind is Kind.ARRAY:
        return {"type": "array", "items": json_schema(type_.items[0])}
    if kind is Kind.TUPLE:
        items = [json_schema(item) for item in type_.items]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if kind is Kind.OBJECT:
        named = zip(type_.choices, type_.items, strict=True)
        properties = {name: json_schema(item) for name, item in named}
        return {"type": "object", "properties": properties, "required": list(type_.choices)}
    if kind is Kind.MAP:
        return {"type": "object", "additionalProperties": json_schema(type_.items[0])}
    return {"type": kind.value, **({"format": type_.format} if type_.format else {})}
