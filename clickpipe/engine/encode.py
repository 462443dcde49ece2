"""Encodes values as ClickHouse parameters, literals and settings. The only place that does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from clickpipe.engine.protocol import Escaped, Param, Params, Settings

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"})
_LITERAL_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)

# For INSERTs that carry their rows: one block, parsed by one thread.
_ROWS_AS_ARRAYS: Settings = {
    "input_format_null_as_default": 1,
    "input_format_parallel_parsing": 0,
    "date_time_input_format": "best_effort",
    "precise_float_parsing": 1,
    "max_insert_block_size": 1 << 40,
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
}


def encode_params(params: Params) -> dict[str, str]:
    """Return each parameter as the TSV-escaped text that ClickHouse parses by the declared type."""
    return {name: encode_param(value) for name, value in params.items()}


def encode_param(value: Param) -> str:
    """Return one value as parameter text."""
    if isinstance(value, Escaped):
        return value.text
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, Sequence):
        return _literal(value)
    return _number(value)


def _literal(value: Param) -> str:
    if isinstance(value, str):
        return f"'{value.translate(_LITERAL_ESCAPES)}'"
    if isinstance(value, Sequence):
        return f"[{','.join(_literal(item) for item in value)}]"
    assert not isinstance(value, Escaped)  # noqa: S101 - it is always a whole parameter, never an item or a literal
    return _number(value)


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def settings_clause(settings: Settings | None) -> str:
    """Return ` SETTINGS a = 1, b = 'x'`, or '' for none; strings are quoted and escaped."""
    if not settings:
        return ""
    parts = [f"{name} = {_setting(value)}" for name, value in settings.items()]
    return f"\nSETTINGS {', '.join(parts)}"


def _setting(value: Param | Mapping[str, str]) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(text)}" for key, text in value.items()) + "}"
    return _literal(value)


_AS_ARRAYS = settings_clause(_ROWS_AS_ARRAYS)


def insert_of_rows(table: str, columns: str, rows: bytes, settings: Settings) -> str:
    """Return the INSERT statement for rows given as one JSON array of column values per line."""
    given = "".join(f", {name} = {_setting(value)}" for name, value in settings.items())
    return f"INSERT INTO {table} ({columns}){_AS_ARRAYS}{given} FORMAT JSONCompactEachRow\n{rows.decode()}"


def insert_of_select(table: str, columns: str, select: str, settings: Settings) -> str:
    """Return INSERT … SELECT. Our settings come before the SELECT, which may end with settings of its own."""
    return f"INSERT INTO {table} ({columns}){settings_clause(settings)}\n{select}"


_PLACEHOLDER = re.compile(r"\{(?P<name>\w+):(?P<type>[^{}]+)\}")


def inline(sql: str, params: Params) -> str:
    """Return SQL with its parameters replaced by typed literals, for stored definitions: a view has no parameters.

    Only for values from the project's files (parameter defaults), never for values from a request.
    """

    def literal(match: re.Match[str]) -> str:
        if match["name"] not in params:
            return match[0]
        return f"CAST({_literal(params[match['name']])}, {_literal(match['type'])})"

    return _PLACEHOLDER.sub(literal, sql) if params else sql
