"""Runs idempotent statements that write rows, with retries on temporary errors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from clickpipe.engine import ONE_BLOCK, Engine, EngineError, Params, Settings, once
from clickpipe.ingest.judge import is_passing

_LOGGER = logging.getLogger(__name__)
_AGAIN_AFTER = (0.1, 0.5, 2.0)  # seconds; after these, the caller waits longer

Sever = Callable[[EngineError], bool]


class Standbys(Protocol):
    """The standby deployments that rows are forwarded to."""

    def sever(self, workspace: str, error: EngineError) -> bool:
        """Cut a workspace's standby off from new rows if it made an insert fail; return whether."""
        ...


class Forwarding(Protocol):
    """The standby deployment of one workspace."""

    def sever(self, error: EngineError) -> bool:
        """Cut it off from new rows if it made an insert fail; return whether."""
        ...


class _NoStandbys:
    def sever(self, _workspace: str, _error: EngineError) -> bool:
        return False


class _NoForwarding:
    def sever(self, _error: EngineError) -> bool:
        return False


NO_STANDBYS = _NoStandbys()
NO_FORWARDING = _NoForwarding()


def never(_error: EngineError) -> bool:
    """Remove nothing: the default `sever`."""
    return False


def write(
    engine: Engine,
    statement: str,
    token: str,
    sever: Sever,
    params: Params | None = None,
    how: Settings | None = None,
) -> None:
    """Run an insert; again, with the same token, if what refused it is not part of the live deployment."""
    settings: Settings = {**ONE_BLOCK, **once(token), **(how or {})}
    try:
        execute_patiently(engine, statement, settings, params)
    except EngineError as error:
        if not sever(error):
            raise
        execute_patiently(engine, statement, settings, params)


def execute_patiently(engine: Engine, statement: str, settings: Settings, params: Params | None = None) -> None:
    """Run an idempotent statement, with retries on temporary errors. Raises EngineError."""
    patiently(lambda: engine.execute(statement, params, output="Null", settings=settings))


def patiently(run: Callable[[], object]) -> None:
    """Call an idempotent function, with retries on temporary errors. Raises EngineError."""
    for wait in (*_AGAIN_AFTER, None):
        try:
            run()
        except EngineError as error:
            if wait is None or not is_passing(error):
                raise
            _LOGGER.warning("retrying an insert: %s", error.message)
            time.sleep(wait)
        else:
            return


def retarget(statement: str, table: str) -> str:
    """Return an insert (with a list of columns) redirected into another table."""
    return f"INSERT INTO {table} {statement[statement.index('(') :]}"
