"""An event that fits a data source, to show a newcomer what to send."""

from __future__ import annotations

from typing import Any

from clickpipe.ingest.types import base, enum_names, named_field, split_arguments
from clickpipe.project import Column, DataSource, Each, Key, Step, parse_jsonpath

_BY_TYPE: dict[str, Any] = {
    "Bool": True,
    "UUID": "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
    "IPv4": "192.0.2.1",
    "IPv6": "2001:db8::1",
    "JSON": {"key": "value"},
}
_BY_START: dict[str, Any] = {
    "DateTime64": "2026-01-31 12:00:00.000",
    "DateTime": "2026-01-31 12:00:00",
    "Date": "2026-01-31",
    "Float": 1.5,
    "Decimal": "1.5",
    "Int": 1,
    "UInt": 1,
    "JSON": {"key": "value"},
}


def example_event(source: DataSource) -> dict[str, Any]:
    """Return a JSON document with a value for each column at its jsonpath (at its name, where none has a path)."""
    event: dict[str, Any] = {}
    with_paths = any(c.jsonpath for c in source.columns)
    for column in source.columns:
        if column.jsonpath is None and with_paths:
            continue
        steps = parse_jsonpath(column.jsonpath) if column.jsonpath else (Key(column.name),)
        if steps:
            put(event, steps, _sample(column.type, column))
    return event


def put(document: dict[str, Any], steps: tuple[Step, ...], value: Any) -> None:
    """Put a value where the path takes it from; `[:]` stands for an array with one element."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, Each):
        return  # the event itself is an object, so `$[:]` takes nothing from it
    depth = 0
    while rest and isinstance(rest[0], Each):
        depth, rest = depth + 1, rest[1:]
    if not rest:
        document[step.name] = value
        return
    for _ in range(depth):
        value = value[0] if isinstance(value, list) and value else value
    inner: Any = document.get(step.name, {})
    while isinstance(inner, list):
        inner = inner[0]
    if isinstance(inner, dict):
        put(inner, rest, value)
        for _ in range(0 if step.name in document else depth):
            inner = [inner]
        document.setdefault(step.name, inner)


def _sample(type_: str, column: Column) -> Any:
    own = base(type_)
    if own in _BY_TYPE:
        return _BY_TYPE[own]
    if own.startswith("Enum"):
        return enum_names(own)[0]
    kind, bracket, inside = own.partition("(")
    if bracket and kind in {"Array", "Map", "Tuple"}:
        parts = split_arguments(inside[:-1])
        if kind == "Array":
            return [_sample(parts[0], column)]
        if kind == "Map":
            return {str(_sample(parts[0], column)): _sample(parts[1], column)}
        fields = [named_field(part) for part in parts]
        values = [_sample(field_type, column) for _, field_type in fields]
        names = [name for name, _ in fields if name]
        return dict(zip(names, values, strict=True)) if len(names) == len(values) else values
    for start, value in _BY_START.items():
        if own.startswith(start):
            return value
    if own.startswith("FixedString("):
        return "x" * int(own[len("FixedString(") : -1])
    return f"{column.name}-1"
