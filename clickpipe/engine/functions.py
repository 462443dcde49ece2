"""What ClickHouse tells of its functions and settings."""

from __future__ import annotations

import json

from clickpipe.engine.ports import Engine

_changing: frozenset[str] | None = None


def changing_functions(engine: Engine) -> frozenset[str]:
    """Return the functions, in lower case, that may give another value for the same arguments."""
    global _changing  # noqa: PLW0603 - the same for every engine of a process, and asked for once
    if _changing is None:
        body = engine.execute("SELECT lower(name) FROM system.functions WHERE deterministic = 0", output="TSV").body
        _changing = frozenset(body.decode().split())
    return _changing


def engine_settings(engine: Engine) -> list[tuple[str, str, str]]:
    """Return name, default and type of each setting that is in use, by name."""
    sql = "SELECT name, `default`, type FROM system.settings WHERE NOT is_obsolete ORDER BY name"
    return [
        (name, default, kind)
        for name, default, kind in json.loads(engine.execute(sql, output="JSONCompact").body)["data"]
    ]
