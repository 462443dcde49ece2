"""ClickHouse types as JSON in responses, and parameter types as sent in requests."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum


class Kind(Enum):
    """The kind of a JSON value."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    ENUM = "enum"  # one of `choices`
    ARRAY = "array"  # of `items[0]`
    TUPLE = "tuple"  # an array of `items`
    OBJECT = "object"  # with the keys `choices`, of `items`
    MAP = "map"  # any keys, of `items[0]`
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class JSONType:
    """A type of JSON values; `format` is JSON Schema's format of strings or numbers."""

    kind: Kind
    items: tuple[JSONType, ...] = ()
    choices: tuple[str, ...] = ()
    format: str = ""
    nullable: bool = False


UNKNOWN = JSONType(Kind.UNKNOWN)
_STRING = JSONType(Kind.STRING)
_NAME = re.compile(r"[A-Za-z_]\w*")
_ENUM = re.compile(r"'((?:[^'\\]|\\.|'')*+)(?:'|\Z)(?:\s*+=\s*+-?\d+)?")
_FIELD = re.compile(r"^\s*(?:`((?:[^`\\]|\\.)+)`|([A-Za-z_]\w*))\s+(?=\S)")
_PLAIN = {
    "Bool": JSONType(Kind.BOOLEAN),
    "Boolean": JSONType(Kind.INTEGER),
    "Date": replace(_STRING, format="date"),
    "Date32": replace(_STRING, format="date"),
    "UUID": replace(_STRING, format="uuid"),
    "IPv4": replace(_STRING, format="ipv4"),
    "IPv6": replace(_STRING, format="ipv6"),
    "Decimal": JSONType(Kind.NUMBER),
    "Int": JSONType(Kind.INTEGER, format="int32"),
    "Integer": JSONType(Kind.INTEGER, format="int32"),
    "JSON": UNKNOWN,
    "Object": UNKNOWN,
    "Dynamic": UNKNOWN,
    "Variant": UNKNOWN,
    "Nothing": replace(UNKNOWN, nullable=True),
}


def json_type(text: str) -> JSONType:
    """Return the JSON type of a ClickHouse type's values in responses."""
    text = text.strip()
    name = _NAME.match(text)
    if name is None:
        return UNKNOWN
    inside = text[name.end() + 1 : -1] if text.endswith(")") else ""
    return _named(name.group(), inside)


def _named(name: str, inside: str) -> JSONType:
    if name in {"LowCardinality", "SimpleAggregateFunction"}:
        return json_type(_split(inside)[-1])
    if name == "Nullable":
        return replace(json_type(inside), nullable=True)
    if name == "Array":
        return JSONType(Kind.ARRAY, (json_type(inside),))
    if name == "Map":
        return JSONType(Kind.MAP, (json_type(_split(inside)[-1]),))
    if name in {"Tuple", "Nested"}:
        return _tuple(_split(inside), nested=name == "Nested")
    if name.startswith("Enum"):
        return JSONType(Kind.ENUM, choices=tuple(re.sub(r"\\(.)|''", _unescaped, c) for c in _ENUM.findall(inside)))
    if re.fullmatch(r"U?Int\d+", name):
        size = re.sub(r"\D", "", name)
        return JSONType(Kind.INTEGER, format=name.lower() if size in {"32", "64"} else "")
    if name.startswith(("Float", "BFloat")):
        return JSONType(Kind.NUMBER, format={"Float32": "float", "Float64": "double"}.get(name, ""))
    if name.startswith("Interval"):
        return JSONType(Kind.INTEGER)
    return _PLAIN.get(name, _STRING)


def _unescaped(match: re.Match[str]) -> str:
    return match[1] or "'"


def _tuple(parts: list[str], *, nested: bool) -> JSONType:
    fields = [_FIELD.match(part) for part in parts]
    if not parts or not all(fields):
        return JSONType(Kind.TUPLE, tuple(json_type(part) for part in parts))
    names = tuple(f[1] or f[2] for f in fields if f is not None)
    items = tuple(json_type(part[f.end() :]) for part, f in zip(parts, fields, strict=True) if f is not None)
    found = JSONType(Kind.OBJECT, items, names)
    return JSONType(Kind.ARRAY, (found,)) if nested else found


def items_of(type_: str) -> tuple[str, bool]:
    """Return the type of a parameter's values, and whether it takes a list of them."""
    listed = type_.startswith("Array(")
    return (type_.removeprefix("Array(").removesuffix(")") if listed else type_), listed


def _split(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes."""
    parts, depth, start = [], 0, 0
    for mark in re.finditer(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`\\]|\\.)*`|[(),]", text):
        if mark[0] == "(":
            depth += 1
        elif mark[0] == ")":
            depth -= 1
        elif mark[0] == "," and depth == 0:
            parts.append(text[start : mark.start()])
            start = mark.end()
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]
