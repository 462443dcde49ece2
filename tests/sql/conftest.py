from __future__ import annotations

from collections.abc import Callable

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import Reader, Syntax

Read = Callable[[str], Syntax]


@pytest.fixture(scope="session")
def reader(engine: Engine) -> Reader[EngineError]:
    return Reader(engine.syntax_trees)


@pytest.fixture(scope="session")
def read(reader: Reader[EngineError]) -> Read:
    """Read a statement that ClickHouse can read."""

    def run(sql: str) -> Syntax:
        syntax = reader.read(sql)
        assert isinstance(syntax, Syntax), f"{sql}: {syntax}"
        return syntax

    return run
