"""Settings under which what is stored of a row depends on no other row, and on no setting of readers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clickpipe.engine import Settings
from clickpipe.project import DataSource

# What JSON, Dynamic and Variant take for a time: by best effort, "12" in a document would be one.
_AS_WRITTEN: Settings = {"date_time_input_format": "basic"}
# In JSON and Dynamic, ClickHouse takes a value for the type of one in a row before it, if it can: [null] for a list of
# lists, whole numbers for floats. Where that alters a value, each row is a block of its own.
_ROW_BY_ROW: Settings = {**_AS_WRITTEN, "max_block_size": 1}
_LEANS = re.compile(rb"\[\s*(?:null\s*,\s*)*null\s*\]|[\[,]\s*-?\d{16}")
_LEANS_DYNAMIC = re.compile(_LEANS.pattern + rb"|:\s*-?\d{16}")


def leans(source: DataSource) -> re.Pattern[bytes] | None:
    """Return what to look for in lines whose values may depend on other lines; None where none can."""
    types = " ".join(column.type for column in source.columns)
    if "Dynamic" in types or "Variant(" in types:
        return _LEANS_DYNAMIC
    return _LEANS if re.search(r"\bJSON\b", types) else None


def settings_apart(pattern: re.Pattern[bytes] | None, lines: Iterable[bytes] | None = None) -> Settings:
    """Return the settings to read lines with, for the pattern that `leans` gives; without lines those for any."""
    if pattern is None or (lines is not None and not any(pattern.search(data) for data in lines)):
        return _AS_WRITTEN
    return _ROW_BY_ROW
