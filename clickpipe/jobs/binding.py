"""Binds the SQL of a pipe that a job runs: its template is rendered, and the composed text is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer
from clickpipe.engine import Engine, EngineError
from clickpipe.project import Pipe
from clickpipe.query import hide_secrets, judge
from clickpipe.template import Binder, BoundSQL, Secrets


def bind(engine: Engine, live: Live, pipe: Pipe, values: Mapping[str, Any], secret: Secrets) -> BoundSQL:
    """Return a pipe's SQL with `values` for its parameters; `job_timestamp` is now, unless given.

    Raises ClickpipeError for what its template raises and for SQL that is not allowed, and EngineError.
    """
    binder = Binder(live.compiled.known_names.of(pipe), secret)
    given = {"job_timestamp": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"), **values}
    composed = Composer(live.compiled.project, live.compiled.reader, live.table).pipe(pipe, given, binder)
    judge(engine, live, composed, live.compiled.rules.copy_sources)
    return BoundSQL(composed.text, binder.params, binder.settings)


@contextmanager
def hiding_secrets(bound: BoundSQL) -> Iterator[None]:
    """Take the secrets out of ClickHouse's errors within this block."""
    try:
        yield
    except EngineError as error:
        error.message = hide_secrets(error.message, bound.params)
        raise
