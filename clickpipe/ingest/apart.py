"""Settings that make a stored row independent of other rows and of readers' settings."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clickpipe.engine import AS_WRITTEN, ROW_BY_ROW, Settings
from clickpipe.project import DataSource

_LEANS = re.compile(rb"\[\s*(?:null\s*,\s*)*null\s*\]|[\[,]\s*-?\d{16}")
_LEANS_DYNAMIC = re.compile(_LEANS.pattern + rb"|:\s*-?\d{16}")


def leans(source: DataSource) -> re.Pattern[bytes] | None:
    """Return a pattern for lines whose values may depend on other lines, or None if there cannot be any."""
    types = " ".join(column.type for column in source.columns)
    if "Dynamic" in types or "Variant(" in types:
        return _LEANS_DYNAMIC
    return _LEANS if re.search(r"\bJSON\b", types) else None


def settings_apart(pattern: re.Pattern[bytes] | None, lines: Iterable[bytes] | None = None) -> Settings:
    """Return the settings for reading `lines` (None: any), given the pattern from `leans`."""
    if pattern is None or (lines is not None and not any(pattern.search(data) for data in lines)):
        return AS_WRITTEN
    return ROW_BY_ROW
