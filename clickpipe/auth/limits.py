"""A token's `limits`: requests per second, and the resources of each of its queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clickpipe.diagnostics import ClickpipeError, did_you_mean

LIMITS = ("rps", "max_seconds", "max_memory_bytes", "max_rows_to_read", "max_result_rows", "max_result_bytes")
_MOST = 2**63


def limits_of(given: Any) -> dict[str, int]:
    """Parse limits such as `{"rps": 10, "max_seconds": 2}`, leaving out zeros. Raises ClickpipeError 400."""
    if not isinstance(given, Mapping):
        message = "'limits' is an object like {\"rps\": 10}."
        raise ClickpipeError(message, code="bad_limits")
    for name, value in given.items():
        if name not in LIMITS:
            hint = did_you_mean(str(name), LIMITS) or f"there are {', '.join(LIMITS)}"
            message = f"'limits' has no '{name}': {hint}"
            raise ClickpipeError(message, code="bad_limits")
        if type(value) is not int or not 0 <= value < _MOST:
            message = f"'{name}' in 'limits' is a whole number; 0 is no limit."
            raise ClickpipeError(message, code="bad_limits")
    return {name: value for name, value in given.items() if value}
