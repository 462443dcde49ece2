"""The ports: the interface to ClickHouse for all other rooms, embedded or not."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from clickpipe.engine.protocol import EngineError, Look, Params, QueryResult, ResultColumn, Settings

if TYPE_CHECKING:
    from clickpipe.engine.storage import Storage  # imports this module


class Analyzer(Protocol):
    """Reads SQL without running it. Methods may be called from any thread, and block."""

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        """Return the result columns of a SELECT without running it. Raises EngineError."""
        ...

    def syntax_tree(self, sql: str) -> str:
        """Return ClickHouse's syntax tree of one statement as JSON (`parseQueryToJSON`).

        Safe for any text, as nothing in it runs. Raises EngineError, also for more than one statement.
        """
        ...

    def syntax_trees(self, statements: Sequence[str]) -> list[str | EngineError]:
        """Return for each statement what `syntax_tree` returns or raises. Faster than one by one."""
        ...


class Queries(Protocol):
    """Runs statements. Methods may be called from any thread."""

    def execute(
        self, sql: str, params: Params | None = None, *, output: str = "JSON", settings: Settings | None = None
    ) -> QueryResult:
        """Run one statement; `output` is a ClickHouse format. Raises EngineError."""
        ...

    def submit(
        self, sql: str, params: Params | None = None, *, output: str = "JSON", settings: Settings | None = None
    ) -> Future[QueryResult]:
        """Run one statement as `execute` does, without waiting."""
        ...

    def stream(
        self, sql: str, params: Params | None = None, *, output: str, settings: Settings | None = None, whole: int
    ) -> Future[QueryResult]:
        """Run one SELECT as `submit` does; a result above `whole` bytes is streamed (`more`) if its format allows."""
        ...

    def cancel(self, tag: str) -> None:
        """Kill the running statements whose setting `log_comment` is `tag`; return without waiting."""
        ...

    def memory(self) -> Mapping[str, int]:
        """Return the bytes of memory that each running statement uses, by its setting `log_comment`."""
        ...

    def end_all(self) -> None:
        """End all that runs; who waits for what goes on a moment later is told that it was ended."""
        ...

    def stuck(self) -> list[tuple[str, float]]:
        """Return the statements that were killed but still run.

        For each, who asked for it ('' is the server itself), and the seconds since it was given up.
        """
        ...

    def stuck_callers(self) -> Collection[Hashable]:
        """Return the tokens whose own SQL is stuck."""
        ...

    def stuck_of(self) -> Mapping[str, int]:
        """Return how many stuck statements each owner has; '' is the server itself."""
        ...


class Inserts(Protocol):
    """Accepts rows and reports what was written. Methods may be called from any thread, and block."""

    def insert(self, table: str, columns: str, rows: bytes, settings: Settings) -> None:
        """Insert rows, one JSON array of column values per line; `columns` is the list of quoted names, as in SQL.

        A null becomes the default of a column that is not Nullable. Raises EngineError; then no row was written.
        """
        ...

    def load(self, table: str, format_: str, data: bytes) -> None:
        """Insert data in any ClickHouse format into a table that no view reads. Raises EngineError."""
        ...

    def lines(self, batches: Sequence[tuple[str, bytes]]) -> AbstractContextManager[str]:
        """Yield SQL that reads as a table `(import_id String, document String)`, valid within the block.

        `batches` are pairs of an import id, a UUID, and lines separated by line ends. Raises OSError.
        """
        ...

    def csv(
        self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False
    ) -> AbstractContextManager[str]:
        """Yield SQL that reads as a table `(f1 String, f2 String …)` of CSV records in UTF-8, valid within the block.

        Call it only if `reads_csv` says yes. A statement fails at a record with another number of fields. With
        `any_number`, missing fields are `ABSENT`, and one more column shows whether a record has more than `fields`
        fields: it is `ABSENT` if not. Raises OSError, and NoSlot if other statements hold all slots for too long.
        """
        ...

    def versions(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return a number for each table (`database.table`) that grows with each write to it."""
        ...

    def look(self) -> Look:
        """Return the last look at the disk."""
        ...

    def inspect(self, since: Look) -> Look:
        """Check that everything written since an earlier look reached the disk; remove what did not.

        If the returned look has more `repairs`, what was written in between has to be written again. Raises EngineError
        if damaged parts cannot be removed now.
        """
        ...


class Engine(Analyzer, Queries, Inserts, Protocol):
    """One ClickHouse: embedded, or a server."""

    @property
    def storage(self) -> Storage:
        """Return the port that creates, copies, swaps, measures and drops tables."""
        ...

    def close(self) -> None:
        """Finish running statements and release the data. May be called twice."""
        ...
