"""Makes an example event for a data source, to show what to send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from clickpipe.columns.types import enum_names, holder, named_field, numbers, plain, split_arguments
from clickpipe.project import Column, DataSource, Each, Key, Step, parse_jsonpath

_LONG = 100  # characters: FixedString accepts shorter strings
_BY_TYPE: dict[str, Any] = {
    "Bool": True,
    "UUID": "61f0c404-5cb3-11e7-907b-a6006ad3dba0",
    "IPv4": "192.0.2.1",
    "IPv6": "2001:db8::1",
    "JSON": {"key": "value"},
    "Geometry": [1.5, 2.5],
}
_BY_START: dict[str, Any] = {
    "DateTime64": "2026-01-31 12:00:00.000",
    "DateTime": "2026-01-31 12:00:00",
    "Date": "2026-01-31",
    "Time": "12:00:00",
    "Float": 1.5,
    "BFloat": 1.5,
    "Decimal": "1.5",
    "Int": 1,
    "UInt": 1,
    "JSON": {"key": "value"},
}


def example_event(source: DataSource) -> dict[str, Any]:
    """Return a JSON object with a value for each column, at its jsonpath (or at its name, if no column has a path)."""
    return document_of(taken(source), lambda column: sample(column.type, column.name))


def taken(source: DataSource) -> list[Column]:
    """Return the columns that are filled from events."""
    with_paths = any(c.jsonpath for c in source.columns)
    return [c for c in source.columns if c.jsonpath is not None or not with_paths]


def document_of(columns: Iterable[Column], value_of: Callable[[Column], Any]) -> dict[str, Any]:
    """Return a document with each column's value at its path; `value_of` returns None to leave one out.

    Where other paths pass through a column's own path, there is an object, or a list of one, instead of the column's
    value.
    """
    document: dict[str, Any] = {}
    paths = [(parse_jsonpath(c.jsonpath) if c.jsonpath else (Key(c.name),), c) for c in columns]
    for steps, column in sorted((pair for pair in paths if pair[0]), key=lambda pair: len(pair[0])):
        value = value_of(column)
        if through := [
            other[len(steps)] for other, _ in paths if len(other) > len(steps) and other[: len(steps)] == steps
        ]:
            value = value if isinstance(value, dict) else {}
            put(document, steps, [value] if isinstance(through[0], Each) else value)
        elif value is not None:
            put(document, steps, value)
    return document


def put(document: dict[str, Any], steps: tuple[Step, ...], value: Any) -> None:
    """Put a value at a path; `[:]` stands for an array with one element."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, Each):
        return  # the event itself is an object, so `$[:]` matches nothing in it
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


def sample(type_: str, name: str) -> Any:
    """Return a value of a type, as parsed JSON; strings are derived from `name`."""
    own = plain(type_)
    if own in _BY_TYPE:
        return _BY_TYPE[own]
    if own.startswith("Enum"):
        return enum_names(own)[0]
    if own.startswith("Variant("):
        return sample(split_arguments(own[len("Variant(") : -1])[0], name)
    if (found := holder(own)) is not None:
        kind, parts = found
        if kind == "Array":
            return [sample(parts[0], name)]
        if kind == "Map":
            return {str(sample(parts[0], name)): sample(parts[1], name)}
        fields = [named_field(part) for part in parts]
        values = [sample(field_type, name) for _, field_type in fields]
        names = [name for name, _ in fields if name]
        return dict(zip(names, values, strict=True)) if len(names) == len(values) else values
    for start, value in _BY_START.items():
        if own.startswith(start):
            return value
    if own.startswith("FixedString("):
        return "x" * min(numbers(own, _LONG), default=1)
    return f"{name}-1"
