"""The settings that ClickHouse clients may send with a query: how results are written, and lower limits.

Clients also send others on their own; those are ignored, as a read-only user could not change them. Some of the
accepted settings change what SQL means (`meaning`): they apply to a caller's own SQL, never to pipes or filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, Settings, engine_settings

# Settings that shape a result, besides `output_format_…`.
_RESULT = (
    *("bool_false_representation", "bool_true_representation", "date_time_output_format", "extremes"),
    *("format_csv_delimiter", "format_csv_null_representation", "format_tsv_null_representation"),
    *("format_custom_escaping_rule", "format_custom_field_delimiter", "format_custom_result_after_delimiter"),
    *(
        "format_custom_result_before_delimiter",
        "format_custom_row_after_delimiter",
        "format_custom_row_before_delimiter",
    ),
    *("format_custom_row_between_delimiter", "group_by_use_nulls", "join_use_nulls", "limit", "offset"),
    *("prefer_column_name_to_alias", "session_timezone", "transform_null_in", "union_default_mode"),
)
# These also change functions and operators: `toString`, `toJSONString`, `IN`, UNION, JOIN, times without a zone.
_MEANING = frozenset(
    {"bool_false_representation", "bool_true_representation", "date_time_output_format", "group_by_use_nulls"}
    | {"join_use_nulls", "output_format_decimal_trailing_zeros", "output_format_json_escape_forward_slashes"}
    | {"output_format_json_map_as_array_of_tuples", "output_format_json_named_tuples_as_objects"}
    | {"output_format_json_quote_64bit_floats", "output_format_json_quote_decimals", "prefer_column_name_to_alias"}
    | {"output_format_json_skip_null_value_in_named_tuples", "session_timezone", "transform_null_in"}
    | {"output_format_always_write_decimal_point_in_float_and_decimal", "output_format_float_precision"}
    | {"output_format_trim_fixed_string", "union_default_mode"}
)
# Limits: the lowest of the client's, its token's and the server's applies.
_LIMITS = ("max_execution_time", "max_memory_usage", "max_result_bytes", "max_result_rows", "max_rows_to_read")
_NEVER = frozenset({"output_format_schema"})  # names a file to write
_FIXED = (("readonly", "1", "UInt64"), ("date_time_input_format", "best_effort", "DateTimeInputFormat"))
_SETTING = r"\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[\w.+-]+)"
_CLAUSE = re.compile(rf"\bSETTINGS\s+(?P<all>{_SETTING}(?:\s*,\s*{_SETTING})*)\s*$", re.IGNORECASE)
_ONE = re.compile(r"(?<!\w)(?P<name>\w++)\s*+=\s*+(?:'(?P<text>(?:[^'\\]|\\.)*)'|(?P<word>[\w.+-]+))")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as listed in `system.settings`, with the engine's default as its value.

    `ignored` means that a client may send it, but it has no effect.
    """

    name: str
    value: str
    type: str
    ignored: bool
    readonly: bool = False


_found: Mapping[str, Setting] = {}


def client_settings(engine: Engine) -> Mapping[str, Setting]:
    """Return all settings of the engine, by name. Clients may send any; `ignored` ones have no effect."""
    global _found  # noqa: PLW0603 - the same for every engine in a process: read once
    _found = _found or _read(engine)
    return _found


def _read(engine: Engine) -> Mapping[str, Setting]:
    # If there is a `cloud_mode`, Metabase takes the server for ClickHouse Cloud.
    rows = [row for row in engine_settings(engine) if row[0] != "cloud_mode"]
    known = {name: Setting(name, value, kind, not _may_change(name)) for name, value, kind in rows}
    return known | {name: Setting(name, value, kind, ignored=True, readonly=True) for name, value, kind in _FIXED}


def _may_change(name: str) -> bool:
    return (name.startswith("output_format_") or name in _RESULT or name in _LIMITS) and name not in _NEVER


def meaning(names: Iterable[str]) -> frozenset[str]:
    """Return the settings among `names` that change what SQL means, not just how its result is written."""
    return _MEANING.intersection(names)


def split_settings(text: str, known: Mapping[str, Setting]) -> tuple[str, dict[str, str]]:
    """Return SQL without its final SETTINGS clause, and the settings in it.

    If the clause sets anything but how the result is written, it stays in the SQL, which is then refused.
    """
    match = _CLAUSE.search(text)
    if match is None:
        return text, {}
    found = {
        one["name"]: one["word"] or re.sub(r"\\(.)", r"\1", one["text"] or "") for one in _ONE.finditer(match["all"])
    }
    if any(name not in known or known[name].ignored or name in _LIMITS for name in found):
        return text, {}
    return text[: match.start()].rstrip(), found


def asked_settings(given: Mapping[str, str], known: Mapping[str, Setting]) -> Settings:
    """Return the client's settings that have an effect.

    Raises ClickpipeError for a limit that is not a number, and 404 for an unknown output setting.
    """
    found: dict[str, str | int] = {}
    for name, value in given.items():
        if name in known and not known[name].ignored:
            if name in _LIMITS and not value.isdecimal():
                message = f"Cannot parse '{value[:50]}' as a number, for the setting '{name}'"
                raise ClickpipeError(message, code="cannot_parse_number")
            found[name] = int(value) if name in _LIMITS else value
        elif name.startswith("output_format_") and name not in known:
            message = f"Unknown setting '{name[:100]}'"
            raise ClickpipeError(message, status=404, code="unknown_setting")
    return found
