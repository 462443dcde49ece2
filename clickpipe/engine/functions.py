"""What ClickHouse tells of its functions."""

from __future__ import annotations

from clickpipe.engine.protocol import Engine

_changing: frozenset[str] | None = None


def changing_functions(engine: Engine) -> frozenset[str]:
    """Return the functions, in lower case, that may give another value for the same arguments."""
    global _changing  # noqa: PLW0603 - the same for every engine of a process, and asked for once
    if _changing is None:
        body = engine.execute("SELECT lower(name) FROM system.functions WHERE deterministic = 0", output="TSV").body
        _changing = frozenset(body.decode().split())
    return _changing
