"""Facts about ClickHouse's functions and settings."""

from __future__ import annotations

import json

from clickpipe.engine.ports import Engine

_changing: frozenset[str] | None = None


def changing_functions(engine: Engine) -> frozenset[str]:
    """Return the non-deterministic functions, in lower case."""
    global _changing  # noqa: PLW0603 - the same for every engine in a process: read once
    if _changing is None:
        body = engine.execute("SELECT lower(name) FROM system.functions WHERE deterministic = 0", output="TSV").body
        _changing = frozenset(body.decode().split())
    return _changing


def engine_settings(engine: Engine) -> list[tuple[str, str, str]]:
    """Return (name, default, type) of every setting that is not obsolete, sorted by name."""
    sql = "SELECT name, `default`, type FROM system.settings WHERE NOT is_obsolete ORDER BY name"
    return [
        (name, default, kind)
        for name, default, kind in json.loads(engine.execute(sql, output="JSONCompact").body)["data"]
    ]
