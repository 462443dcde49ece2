"""Functions that request settings for the query: they add no SQL, and allow only the settings listed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clickpipe.template.errors import TemplateError
from clickpipe.template.values import Setting

_MOST_THREADS = 64
_LIMITS = ("max_execution_time", "max_memory_usage", "max_rows_to_read", "max_result_rows", "max_result_bytes")
_CACHED = {"5s": 5, "1m": 60, "5m": 300, "30m": 1_800, "1h": 3_600}
# ClickHouse's setting for a feature; '' for the analyzer, which can no longer be switched off.
_SWITCHES: Mapping[str, str] = {
    "analyzer": "",
    "parallel_replicas": "enable_parallel_replicas",
    "optimize_aggregation_in_order": "optimize_aggregation_in_order",
}


def _max_threads(number: Any) -> Setting:
    threads = int(number)
    if not 1 <= threads <= _MOST_THREADS:
        message = f"max_threads() takes a number from 1 to {_MOST_THREADS}"
        raise TemplateError(message)
    return Setting((("max_threads", threads),))


def _limit(name: str) -> Callable[[Any], Setting]:
    def call(number: Any) -> Setting:
        most = int(number)
        if most < 1:
            message = f"{name}() takes a whole number of at least 1"
            raise TemplateError(message)
        return Setting(((name, most),))

    return call


def _cache_ttl(time: Any) -> Setting:
    """Have ClickHouse cache the result for a while, unless the query has non-deterministic functions such as now()."""
    if str(time) not in _CACHED:
        message = f"cache_ttl() takes one of {', '.join(_CACHED)}"
        raise TemplateError(message)
    ignore = ("query_cache_nondeterministic_function_handling", "ignore")
    return Setting((("use_query_cache", 1), ("query_cache_ttl", _CACHED[str(time)]), ignore))


def _backend_hint(_hint: Any = None) -> Setting:
    """Accept and ignore a hint for Tinybird's router."""
    return Setting(())


def _switch(name: str, value: int, allowed: tuple[str, ...]) -> Callable[[Any], Setting]:
    def call(feature: Any) -> Setting:
        if str(feature) not in allowed:
            message = f"{name}() takes one of {', '.join(allowed)}"
            raise TemplateError(message)
        setting = _SWITCHES[str(feature)]
        return Setting(((setting, value),) if setting else ())

    return call


SETTING_FUNCTIONS: Mapping[str, Callable[..., Setting]] = {
    "max_threads": _max_threads,
    **{name: _limit(name) for name in _LIMITS},
    "cache_ttl": _cache_ttl,
    "backend_hint": _backend_hint,
    "activate": _switch("activate", 1, tuple(_SWITCHES)),
    "disable": _switch("disable", 0, ("analyzer",)),
}
