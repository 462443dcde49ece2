from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from clickpipe.engine import Engine


@pytest.fixture
def database(engine: Engine) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    engine.execute(f"CREATE DATABASE {name}")
    yield name
    engine.execute(f"DROP DATABASE {name} SYNC")
