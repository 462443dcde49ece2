"""A column's type as SQL: does a text fit it, and which value is it. Rules: docs/ingestion.md.

`raw` is SQL of type Nullable(String): a text as it came, objects and arrays as JSON. A new type is a new
entry in `scalar`, or in `fits` and `value` when it holds others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clickpipe.sql import quote_literal

_WRAPPER = re.compile(r"^(?:Nullable|LowCardinality)\((.*)\)$", re.DOTALL)
_SIMPLE = re.compile(r"^SimpleAggregateFunction\(\s*\w+\s*,\s*(.*)\)$", re.DOTALL)
_DATETIME = re.compile(r"^DateTime(?:\(\s*('[^']*')\s*\))?$")
_DATETIME64 = re.compile(r"^DateTime64\(\s*(\d+)\s*(?:,\s*('[^']*')\s*)?\)$")
_FIXED = re.compile(r"^FixedString\(\s*(\d+)\s*\)$")
_HOLDER = re.compile(r"^(Array|Map|Tuple)\((.*)\)$", re.DOTALL)
_ENUM_NAME = re.compile(r"'(?:[^'\\]|\\.|'')*'")
_UNESCAPED = re.compile(r"\\(.)|(?<!\\)'(?=')", re.DOTALL)
_DOCUMENTS = ("Nested(", "JSON", "Variant(", "Dynamic", "Object(")
_ARGUMENT = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|[(),]|[^'`(),]+", re.DOTALL)
_FIELD = re.compile(r"^(?:`([^`]+)`|([A-Za-z_]\w*))\s+(\S.*)$", re.DOTALL)
_VARIABLE = re.compile(r"\bx(\d+)\b")
_SCALAR = re.compile(
    r"(?:U?Int\d+|B?Float\d+|Decimal\d*|Date(?:32|Time|Time64)?|Bool|UUID|IPv[46]|Enum(?:8|16)?)(?:\(|$)"
)
_LAST_SECOND = 2**32 - 1
_LAST_DAY = 2**16 - 1


def base(type_: str) -> str:
    """Return a type without Nullable, LowCardinality and SimpleAggregateFunction around it."""
    text = type_.strip()
    while match := _WRAPPER.match(text) or _SIMPLE.match(text):
        text = match.group(1).strip()
    return text


def is_array(type_: str) -> bool:
    """Tell whether a missing value is an empty array."""
    return base(type_).startswith("Array(")


def fits(type_: str, raw: str) -> str:
    """Return SQL that tells whether a text that is not NULL is a value of the type."""
    own = base(type_)
    if own == "String":
        return "1"
    if match := _FIXED.match(own):
        return f"length(assumeNotNull({raw})) <= {match[1]}"
    if match := _HOLDER.match(own):
        return _holder_fits(match[1], split_arguments(match[2]), raw)
    if own.startswith(_DOCUMENTS):
        return f"JSONType(assumeNotNull({raw})) IN ('Object', 'Array')"
    return f"isNotNull({scalar(own, raw)})"


def value(type_: str, raw: str) -> str:
    """Return SQL for the value that a fitting text is; NULL stays NULL where the type takes it."""
    own = base(type_)
    if match := _HOLDER.match(own):
        return _holder_value(own, match[1], split_arguments(match[2]), raw)
    if own.startswith(_DOCUMENTS):
        return f"JSONExtract(ifNull({raw}, ''), {quote_literal(own)})"
    parsed = raw if own == "String" or _FIXED.match(own) else scalar(own, raw)
    return parsed if is_nullable(type_) else f"assumeNotNull({parsed})"


def parsed_type(type_: str) -> str:
    """Return the type that `scalar` parses a text to; '' for types whose values are made of the text itself."""
    own = base(type_)
    return own if _SCALAR.match(own) else ""


def is_nullable(type_: str) -> bool:
    """Tell whether a type takes NULL."""
    return re.match(r"^\s*(LowCardinality\(\s*)?Nullable\(", type_) is not None


def scalar(type_: str, raw: str) -> str:
    """Return SQL that parses a text as a type that holds no other: NULL where it is none."""
    own = base(type_)
    if match := _DATETIME.match(own):
        zone = f", {match[1]}" if match[1] else ""
        moment = f"parseDateTime64BestEffortOrNull({raw}, 0{zone})"
        return f"if(toInt64({moment}) BETWEEN 0 AND {_LAST_SECOND}, toDateTime({moment}{zone}), NULL)"
    if match := _DATETIME64.match(own):
        zone = f", {match[2]}" if match[2] else ""
        return f"parseDateTime64BestEffortOrNull({raw}, {match[1]}{zone})"
    if own in {"Date", "Date32"}:
        day = f"toDate32(parseDateTime64BestEffortOrNull({raw}, 0))"
        return day if own == "Date32" else f"if(toInt32({day}) BETWEEN 0 AND {_LAST_DAY}, toDate({day}), NULL)"
    if own.startswith("Enum"):
        names = ", ".join(_ENUM_NAME.findall(own))
        return f"CAST(if({raw} IN ({names}), {raw}, NULL), {quote_literal(f'Nullable({own})')})"
    if own == "UInt8":  # where projects keep booleans
        raw = f"multiIf({raw} = 'true', '1', {raw} = 'false', '0', {raw})"
    return f"accurateCastOrNull({raw}, {quote_literal(own)})"


def _holder_fits(kind: str, arguments: list[str], raw: str) -> str:
    document, item = f"assumeNotNull({raw})", _variable(raw)
    if kind == "Array":
        inner = _item_fits(arguments[0], item)
        return f"JSONType({document}) = 'Array' AND arrayAll({item} -> {inner}, {_items(raw)})"
    if kind == "Map":
        inner = f"{_item_fits(arguments[0], f'{item}.1')} AND {_item_fits(arguments[1], f'{item}.2')}"
        return f"JSONType({document}) = 'Object' AND arrayAll({item} -> {inner}, {_pairs(raw)})"
    parts = [_item_fits(type_, part) for type_, part in _parts(arguments, raw)]
    return f"JSONType({document}) IN ('Object', 'Array') AND {' AND '.join(parts)}"


def _item_fits(type_: str, raw: str) -> str:
    missing = 1 if is_nullable(type_) or is_array(type_) else 0
    return f"if(isNull({raw}), {missing}, {fits(type_, raw)})"


def _holder_value(own: str, kind: str, arguments: list[str], raw: str) -> str:
    item = _variable(raw)
    if kind == "Array":
        return f"CAST(arrayMap({item} -> {value(arguments[0], item)}, {_items(raw)}), {quote_literal(own)})"
    if kind == "Map":
        pair = f"({value(arguments[0], f'{item}.1')}, {value(arguments[1], f'{item}.2')})"
        return f"CAST(arrayMap({item} -> {pair}, {_pairs(raw)}), {quote_literal(own)})"
    parts = ", ".join(value(type_, part) for type_, part in _parts(arguments, raw))
    return f"CAST(tuple({parts}), {quote_literal(own)})"


def _items(raw: str) -> str:
    return f"JSONExtract(ifNull({raw}, ''), 'Array(Nullable(String))')"


def _pairs(raw: str) -> str:
    """Return SQL for an object's keys and values; keys are made Nullable(String) as any text is."""
    pairs = f"JSONExtractKeysAndValues(ifNull({raw}, ''), 'Nullable(String)')"
    return f"CAST({pairs}, 'Array(Tuple(Nullable(String), Nullable(String)))')"


def _parts(arguments: list[str], raw: str) -> Iterator[tuple[str, str]]:
    """Yield type and text of each element of a tuple: by name from an object, by place from an array."""
    for number, argument in enumerate(arguments, 1):
        name, type_ = named_field(argument)
        key = quote_literal(name) if name else str(number)
        by_place = f"JSONExtract(ifNull({raw}, ''), {number}, 'Nullable(String)')"
        by_name = f"JSONExtract(ifNull({raw}, ''), {key}, 'Nullable(String)')"
        text = f"if(JSONType(ifNull({raw}, '')) = 'Array', {by_place}, {by_name})" if name else by_place
        yield type_, text


def named_field(argument: str) -> tuple[str, str]:
    """Return name ('' without one) and type of a tuple's element."""
    match = _FIELD.match(argument)
    return (match[1] or match[2], match[3]) if match else ("", argument)


def enum_names(own: str) -> list[str]:
    """Return the names of an Enum type."""
    return [_UNESCAPED.sub(r"\1", quoted[1:-1]) for quoted in _ENUM_NAME.findall(own)]


def _variable(raw: str) -> str:
    """Return a lambda's variable that `raw` does not use."""
    used = [int(number) for number in _VARIABLE.findall(raw)]
    return f"x{max(used, default=0) + 1}"


def split_arguments(text: str) -> list[str]:
    """Split a type's arguments at the commas outside brackets and quotes."""
    found, depth = [""], 0
    for piece in _ARGUMENT.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and not depth:
            found.append("")
        else:
            found[-1] += piece
    return [part.strip() for part in found]
