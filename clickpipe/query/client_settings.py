"""The settings that a client of ClickHouse may send with a query: how the result is written, and lower limits.

Others that clients send by themselves are ignored, as a user who may only read could not change them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, Settings

# What decides about a result beside `output_format_…`.
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
# Limits: the lowest of a client's, its token's and the server's holds.
_LIMITS = ("max_execution_time", "max_memory_usage", "max_result_bytes", "max_result_rows", "max_rows_to_read")
_NEVER = frozenset({"output_format_schema"})  # names a file that is written
_SETTING = r"\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|[\w.+-]+)"
_CLAUSE = re.compile(rf"\bSETTINGS\s+(?P<all>{_SETTING}(?:\s*,\s*{_SETTING})*)\s*$", re.IGNORECASE)
_ONE = re.compile(r"(?<!\w)(?P<name>\w++)\s*+=\s*+(?:'(?P<text>(?:[^'\\]|\\.)*)'|(?P<word>[\w.+-]+))")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as `system.settings` tells of it."""

    name: str
    value: str
    type: str
    description: str


_found: Mapping[str, Setting] = {}


def client_settings(engine: Engine) -> Mapping[str, Setting]:
    """Return the settings that a client may send, by name: of those that the engine has."""
    global _found  # noqa: PLW0603 - the same for every engine of a process, and asked for once
    _found = _found or _read(engine)
    return _found


def _read(engine: Engine) -> Mapping[str, Setting]:
    sql = (
        "SELECT name, value, type, description FROM system.settings "
        "WHERE startsWith(name, 'output_format_') OR has({more:Array(String)}, name) ORDER BY name"
    )
    body = engine.execute(sql, {"more": [*_RESULT, *_LIMITS]}, output="JSONCompact").body
    return {row[0]: Setting(*row) for row in json.loads(body)["data"] if row[0] not in _NEVER}


def split_settings(text: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return SQL without the SETTINGS clause at its end, and what it sets.

    A clause that sets something else than how the result is written stays in the SQL, which is refused for it.
    """
    match = _CLAUSE.search(text)
    if match is None:
        return text, {}
    found = {
        one["name"]: one["word"] or re.sub(r"\\(.)", r"\1", one["text"] or "") for one in _ONE.finditer(match["all"])
    }
    if not found.keys() <= {*known} - {*_LIMITS}:
        return text, {}
    return text[: match.start()].rstrip(), found


def asked_settings(given: Mapping[str, str], known: Mapping[str, Setting]) -> Settings:
    """Return those of a client's settings that hold here. Raises ClickpipeError for a limit that is no number."""
    found: dict[str, str | int] = {}
    for name, value in given.items():
        if name in known:
            if name in _LIMITS and not value.isdecimal():
                message = f"Cannot parse '{value[:50]}' as a number, for the setting '{name}'"
                raise ClickpipeError(message, code="cannot_parse_number")
            found[name] = int(value) if name in _LIMITS else value
        elif name.startswith("output_format_"):
            message = f"Unknown setting '{name[:100]}'"
            raise ClickpipeError(message, status=404, code="unknown_setting")
    return found
