"""Derives resource names from file paths."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

NOT_DEPLOYED = ("playgrounds/", "explorations/")  # for experiments only, not part of a project
_VENDORED = re.compile(r"(?:^|/)vendor/([A-Za-z_][A-Za-z0-9_]*)/(?:.*/)?datasources/[^/]+$")


def resource_name(file: str) -> str:
    """Return the name of the resource in a file: the file's, or `<workspace>.<file>` for vendored data sources."""
    stem = PurePosixPath(file).stem
    vendored = _VENDORED.search(file)
    return f"{vendored[1]}.{stem}" if vendored and file.endswith(".datasource") and "." not in stem else stem
