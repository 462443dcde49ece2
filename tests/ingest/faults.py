"""An engine whose statements fail."""

from __future__ import annotations

import random
from typing import Any

import pytest

from clickpipe.engine import QueryResult
from clickpipe.ingest import Ingester

MEMORY = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
FULL = "Code: 75. DB::ErrnoException: Cannot write to file: errno: 28, strerror: No space left on device."
BUG = "Code: 49. DB::Exception: Logical error. (LOGICAL_ERROR)"


class Faults:
    """Makes statements of an ingester's engine fail."""

    def __init__(self, taker: Ingester, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.chance = 1.0
        self.starts = "INSERT INTO `ws_"
        self.random = random.Random(5)
        execute = taker._writer._engine.execute

        def fail(sql: str, *given: Any, **named: Any) -> QueryResult:
            if self.error is not None and sql.startswith(self.starts) and self.random.random() < self.chance:
                raise self.error
            result: QueryResult = execute(sql, *given, **named)
            return result

        insert = taker._writer._engine.insert

        def fail_to_insert(table: str, *given: Any) -> None:
            starts = f"INSERT INTO {table}".startswith(self.starts)
            if self.error is not None and starts and self.random.random() < self.chance:
                raise self.error
            insert(table, *given)

        monkeypatch.setattr(taker._writer._engine, "execute", fail)
        monkeypatch.setattr(taker._writer._engine, "insert", fail_to_insert)
