"""Options of a query: the server's limits, and what the caller asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import LIMITS, Settings, threads
from clickpipe.query.formats import FORMATS, OutputFormat


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Limits of one query: seconds, threads, bytes of memory, rows read, rows and bytes of its result; 0 is none."""

    max_seconds: int = 10
    threads: int = 0
    max_memory_bytes: int = 0
    max_rows_to_read: int = 0
    max_result_rows: int = 0
    max_result_bytes: int = 100_000_000

    def settings(self) -> Settings:
        """Return the limits as ClickHouse settings."""
        own = {name: getattr(self, field) for field, name in LIMITS.items()}
        return {**threads(self.threads), **{name: value for name, value in own.items() if value}}


def bounded(settings: Settings, *others: Settings) -> Settings:
    """Return settings overridden by `others`, in order; of a limit, the lowest value wins. 0 is no limit."""
    found = dict(settings)
    for name, value in ((name, value) for other in others for name, value in other.items()):
        before = found.get(name)
        lower = name in LIMITS.values() and before and value and int(str(before)) < int(str(value))
        if not lower and (value or name not in LIMITS.values()):
            found[name] = value
    return found


def limits_of(settings: Settings) -> dict[str, int]:
    """Return the settings that limit a query."""
    return {name: int(str(settings[name])) for name in LIMITS.values() if settings.get(name)}


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What a caller gives besides a name or SQL: output format, parameters of pipes, output settings.

    `pipeline` is the pipe that `_` means in SQL; callers who may read everything may also name its nodes. `filters` are
    conditions on the rows that the caller may read, by data source; `fixed_params` are parameters that the caller
    cannot change, by pipe. `bound` are values for `{name:Type}` in the SQL itself. `limits` are the caller's own, named
    as in `QueryLimits`. `explain` is `EXPLAIN …` or `DESCRIBE` to explain the SELECT instead of running it. `said` are
    the names of settings in the SQL itself: if they are not allowed, the query is refused; others are just dropped.
    `caller` is the token that asks.
    """

    output: OutputFormat = FORMATS["json"]
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    pipeline: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    fixed_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bound: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    explain: str = ""
    said: Collection[str] = ()
    caller: Hashable = None

    @property
    def is_limited(self) -> bool:
        """Return whether the caller may read only some rows of a data source or pipe."""
        return bool(self.filters or self.fixed_params)

    def limit_settings(self) -> Settings:
        """Return the caller's limits as ClickHouse settings."""
        return {LIMITS[name]: value for name, value in self.limits.items() if name in LIMITS}

    def fixed_for(
        self, pipes: Iterable[str], parameters: Callable[[str], Collection[str]] | None = None
    ) -> QueryOptions:
        """Return options with the values that the token fixes for these pipes.

        `parameters(pipe)` returns a pipe's parameters. Raises ClickpipeError 403 if two pipes fix one parameter to
        different values, or if a pipe lacks a fixed parameter, as the restriction would have no effect.
        """
        fixed: dict[str, Any] = {}
        for pipe in pipes:
            own = self.fixed_params.get(pipe, {})
            if own and parameters is not None and (lost := own.keys() - set(parameters(pipe))):
                named = ", ".join(f"'{name}'" for name in sorted(lost))
                message = f"The token fixes {named}, which '{pipe}' has no parameter of: it reads nothing of it."
                raise ClickpipeError(message, status=403, code="forbidden")
            for name, value in own.items():
                if fixed.setdefault(name, value) != value:
                    message = f"The token fixes '{name}' to different values for pipes that one query reads."
                    raise ClickpipeError(message, status=403, code="forbidden")
        return replace(self, values={**self.values, **fixed}) if fixed else self
