"""Parses the text of a column's type, without the wrappers around it."""

from __future__ import annotations

import re

_WRAPPER = re.compile(r"^(?:Nullable|LowCardinality)\((.*)\)$", re.DOTALL)
_SIMPLE = re.compile(r"^SimpleAggregateFunction\(\s*\w+\s*,\s*+(.*)\)$", re.DOTALL)
_HOLDER = re.compile(r"^(Array|Map|Tuple)\((.*)\)$", re.DOTALL)
_NESTED = re.compile(r"^Nested\((.*)\)$", re.DOTALL)
_ENUM_NAME = re.compile(r"'(?:[^'\\]|\\.|'')*'")
_UNESCAPED = re.compile(r"\\(.)|(?<!\\)'(?=')", re.DOTALL)
_ARGUMENT = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|[(),]|[^'`(),]+", re.DOTALL)
_FIELD = re.compile(r"^(?:`([^`]+)`|([A-Za-z_]\w*))\s+(\S.*)$", re.DOTALL)
_NAME = re.compile(r"^([A-Za-z][A-Za-z0-9]*+(?: [A-Za-z]++)*+)\s*+(\(.*\))?$", re.DOTALL)
_NUMBER, _DIGITS = re.compile(r"[0-9]+"), 10
_WITH_ARGUMENTS = ("Decimal", "FixedString", "DateTime", "Enum", "JSON", "Time")
# Aliases of types, in upper case, and names that are case-insensitive (system.data_type_families).
_ALIASES = {
    **{
        name.upper(): name
        for name in ("Bool", "Date", "Date32", "DateTime", "DateTime64", "Enum", "JSON", "Time", "Time64")
    },
    **{name.upper(): name for name in ("Decimal", "Decimal32", "Decimal64", "Decimal128", "Decimal256")},
    **dict.fromkeys(("BOOLEAN",), "Bool"),
    **dict.fromkeys(("DATETIME32", "TIMESTAMP"), "DateTime"),
    **dict.fromkeys(("DEC", "FIXED", "NUMERIC"), "Decimal"),
    **dict.fromkeys(("BINARY",), "FixedString"),
    **dict.fromkeys(("FLOAT", "REAL", "SINGLE"), "Float32"),
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION"), "Float64"),
    **dict.fromkeys(("INET4",), "IPv4"),
    **dict.fromkeys(("INET6",), "IPv6"),
    **{
        f"{name}{sign}": f"{kind}{bits}"
        for bits, names in (
            (8, ("TINYINT", "INT1")),
            (16, ("SMALLINT",)),
            (32, ("INT", "INTEGER", "MEDIUMINT")),
            (64, ("BIGINT",)),
        )
        for name in names
        for sign, kind in (("", "Int"), (" SIGNED", "Int"), (" UNSIGNED", "UInt"))
    },
    "BYTE": "Int8",
    "YEAR": "UInt16",
    "SIGNED": "Int64",
    "UNSIGNED": "UInt64",
    "BIT": "UInt64",
    "SET": "UInt64",
    **dict.fromkeys(
        ("TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB"), "String"
    ),
    **dict.fromkeys(
        ("BYTEA", "CLOB", "CHAR", "NCHAR", "VARCHAR", "VARCHAR2", "NVARCHAR", "VARBINARY", "CHARACTER"), "String"
    ),
    **dict.fromkeys(("CHAR VARYING", "CHARACTER VARYING", "BINARY VARYING", "BINARY LARGE OBJECT"), "String"),
}
_NULL_WITHIN = ("Variant(", "Dynamic", "Geometry")
_SHAPES = {"Point": "Tuple(Float64, Float64)"}
_SHAPES["Ring"] = _SHAPES["LineString"] = f"Array({_SHAPES['Point']})"
_SHAPES["Polygon"] = _SHAPES["MultiLineString"] = f"Array({_SHAPES['Ring']})"
_SHAPES["MultiPolygon"] = f"Array({_SHAPES['Polygon']})"


def base(type_: str) -> str:
    """Return a type without Nullable, LowCardinality and SimpleAggregateFunction around it."""
    text = type_.strip()
    while match := _WRAPPER.match(text) or _SIMPLE.match(text):
        text = match.group(1).strip()
    return _canonical(text)


def _canonical(text: str) -> str:
    """Return a type by ClickHouse's canonical name: `Boolean` is Bool, `VARCHAR(255)` is String."""
    match = _NAME.match(text)
    name = _ALIASES.get(match[1].upper()) if match else None
    if match is None or name is None:
        return text
    return f"{name}{match[2] or ''}" if name.startswith(_WITH_ARGUMENTS) else name


def plain(type_: str) -> str:
    """Return `base` with Nested and geo types expanded to arrays and tuples."""
    own = base(type_)
    if match := _NESTED.match(own):
        return f"Array(Tuple({match[1]}))"
    return _SHAPES.get(own, own)


def holder(own: str) -> tuple[str, list[str]] | None:
    """Return kind and arguments of an Array, Map or Tuple; None for another type."""
    match = _HOLDER.match(own)
    return (match[1], split_arguments(match[2])) if match else None


def nested_fields(type_: str) -> list[str]:
    """Return the field names of a Nested type; [] for another type."""
    match = _NESTED.match(base(type_))
    return [named_field(part)[0] for part in split_arguments(match[1])] if match else []


def spread(type_: str) -> list[tuple[str, str]]:
    """Return the names and types of the columns that ClickHouse writes to CSV for a Tuple or a Nested; else [].

    The names are those below the column's own: `a.c` for `v Tuple(a Tuple(c Int8))`, `1` for `v Tuple(Int8)`.
    """
    if (match := _NESTED.match(base(type_))) is not None:
        return [(name, f"Array({kind})") for name, kind in map(named_field, split_arguments(match[1]))]
    found = None if type_.strip().startswith("Nullable(") else holder(plain(type_))
    if found is None or found[0] != "Tuple":
        return []
    leaves: list[tuple[str, str]] = []
    for number, (name, kind) in enumerate(map(named_field, found[1]), 1):
        path = name or str(number)
        leaves += [(f"{path}.{below}", leaf) for below, leaf in spread(kind)] or [(path, kind)]
    return leaves


def is_array(type_: str) -> bool:
    """Return whether a missing value becomes an empty array."""
    return plain(type_).startswith("Array(")


def is_nullable(type_: str) -> bool:
    """Return whether a type accepts NULL."""
    if match := _SIMPLE.match(type_.strip()):
        return is_nullable(match[1])
    return re.match(r"^\s*(LowCardinality\(\s*)?Nullable\(", type_) is not None or base(type_).startswith(_NULL_WITHIN)


def named_field(argument: str) -> tuple[str, str]:
    """Return name ('' if unnamed) and type of a tuple's element."""
    match = _FIELD.match(argument)
    return (match[1] or match[2], match[3]) if match else ("", argument)


def quoted_names(own: str) -> list[str]:
    """Return the names of an Enum type as written, in quotes."""
    return _ENUM_NAME.findall(own)


def enum_names(own: str) -> list[str]:
    """Return the names of an Enum type."""
    return [_UNESCAPED.sub(r"\1", quoted[1:-1]) for quoted in quoted_names(own)]


def numbers(type_: str, most: int) -> list[int]:
    """Return the integers in a type, capped at `most`: ClickHouse may not have checked it yet."""
    return [min(int(digits), most) if len(digits) < _DIGITS else most for digits in _NUMBER.findall(type_)]


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
