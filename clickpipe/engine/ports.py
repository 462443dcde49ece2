"""The ports: what the rest of the house asks of ClickHouse, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from clickpipe.engine.protocol import EngineError, Look, Params, QueryResult, ResultColumn, Settings

if TYPE_CHECKING:
    from clickpipe.engine.storage import Storage  # it asks these ports itself


class Analyzer(Protocol):
    """Reads SQL without running it. Methods may be called from any thread; each blocks."""

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        """Return the columns that a SELECT gives, without running it. Raises EngineError."""
        ...

    def syntax_tree(self, sql: str) -> str:
        """Return ClickHouse's syntax tree of one statement as JSON (`parseQueryToJSON`).

        Safe for any text: nothing in it is run. Raises EngineError, also for more than one statement.
        """
        ...

    def syntax_trees(self, statements: Sequence[str]) -> list[str | EngineError]:
        """Return for each statement what `syntax_tree` returns or raises: faster than asking one by one."""
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
        """Run one SELECT as `submit` does; a result of more than `whole` bytes has `more`, where the format can."""
        ...

    def cancel(self, tag: str) -> None:
        """End the statements that run with the setting `log_comment` = `tag`; returns at once."""
        ...

    def stuck(self) -> list[float]:
        """Return for how many seconds each statement goes on that was ended and that ClickHouse does not end."""
        ...

    def stuck_of(self) -> Mapping[str, int]:
        """Return how many of those each owner has asked for; '' stands for the server itself."""
        ...


class Inserts(Protocol):
    """Takes rows in, and tells what was written. Methods may be called from any thread; each blocks."""

    def insert(self, table: str, columns: str, rows: bytes, settings: Settings) -> None:
        """Insert rows, each a JSON array of the columns' values on a line of its own; `columns` are their quoted names.

        A null becomes the default of a column that takes none. Raises EngineError: then no row is there.
        """
        ...

    def load(self, table: str, format_: str, data: bytes) -> None:
        """Insert rows in one of ClickHouse's formats into a table that no view reads. Raises EngineError."""
        ...

    def lines(self, batches: Sequence[tuple[str, bytes]]) -> AbstractContextManager[str]:
        """Give SQL of a table `(import_id String, document String)`, for statements run within.

        It holds each batch's lines (bytes with line ends between them) under its import id, a UUID. Raises OSError.
        """
        ...

    def csv(
        self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False
    ) -> AbstractContextManager[str]:
        """Give SQL of a table `(f1 String, f2 String …)` that reads CSV records in UTF-8, for statements run within.

        Of what `reads_csv` tells. A statement fails that meets a record with another number of fields; with
        `any_number` the fields that a record lacks are `ABSENT`, as is the one behind `fields` where there are no more.
        Raises OSError; NoSlot where others' statements take too long.
        """
        ...

    def versions(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return a number for each table (`database.table`) that grows with every write to it."""
        ...

    def look(self) -> Look:
        """Return the last look at what was written."""
        ...

    def inspect(self, since: Look) -> Look:
        """Look whether all that was written since another look got to the disk; what did not is taken out.

        Where the look that is returned has more `repairs`, what was written between is to be written again. Raises
        EngineError where it cannot be taken out now.
        """
        ...


class Engine(Analyzer, Queries, Inserts, Protocol):
    """One ClickHouse, embedded or a server."""

    @property
    def storage(self) -> Storage:
        """Return what makes, copies, swaps, measures and drops its tables."""
        ...

    def close(self) -> None:
        """Finish what runs and let go of the data. May be called twice."""
        ...
