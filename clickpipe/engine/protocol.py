"""What the rest of the house asks of ClickHouse, whichever way it is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Escaped:
    r"""A value as ClickHouse's clients send it: escaped as in TSV (`it\\'s`, `a\\tb`, `\\N` for NULL)."""

    text: str


Param = str | int | float | Escaped | Sequence["Param"]
Params = Mapping[str, Param]
Settings = Mapping[str, str | int | Mapping[str, str]]


class Parts(Protocol):
    """The rest of a result, part by part."""

    def take(self) -> bytes | None:
        """Return the next part, None at the end. Blocks. Raises EngineError."""
        ...

    def close(self) -> None:
        """Want no more of it: the query ends. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query's result: the format's bytes untouched, rows and bytes read, seconds taken, the result's rows.

    `queued` are the seconds that it waited for its turn before.

    `more` is what comes behind `body`, of a result that was too large to be held: rows and times are those so far.
    """

    body: bytes
    rows_read: int
    bytes_read: int
    elapsed: float
    rows: int = 0
    more: Parts | None = None
    queued: float = 0.0


def whole(result: QueryResult) -> QueryResult:
    """Return a result with the rest in its body. Blocks. Raises EngineError."""
    if result.more is None:
        return result
    parts = [result.body, *iter(result.more.take, None)]
    return QueryResult(b"".join(parts), result.rows_read, result.bytes_read, result.elapsed, result.rows)


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column of a query's result."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the disk found: how many writes the system has refused, when it was, in seconds since 1970.

    `repairs` tells how often something that had been written was taken out again, as it did not get to the disk.
    """

    refused: int
    at: float
    repairs: int


NOTHING = "clickpipe_nothing"  # the database without tables by which names without a database are looked up


class EngineError(Exception):
    """ClickHouse refused a statement: its error number and name, its message without the frame."""

    _HEAD = re.compile(r"(?:Code: (?P<code>\d+)\. DB::Exception: )+")
    _TAIL = re.compile(r" \((?:(?P<name>[A-Z_0-9]+)|version [^()]*)\)$")
    _POSITION = re.compile(r"failed at position (\d+)")
    _TABLES = re.compile(
        r"\s?Maybe you meant:? (?!\[)[^?\n]{1,500}\?\.?"
    )  # of anybody's; lists are of columns and the like
    _TOO_DEEP = ("Maximum parse depth (1000) exceeded", "AST is too deep. Maximum: 1000")
    _HOW_DEEP = (
        "The SQL is nested too deeply: ClickHouse's parser goes 1,000 levels deep, of which a function or operator "
        "takes 2, a bracket 5, a sub-query up to 13"
    )

    def __init__(self, text: str) -> None:
        """Take ClickHouse's error text apart."""
        head = self._HEAD.search(text)
        self.code = int(head["code"]) if head else 0
        self.name = ""
        self.message = text[head.end() :].strip() if head else text.strip()
        for _ in range(4 if head else 0):  # the name and the version, each once or twice
            at = self.message.rfind(" (")
            tail = self._TAIL.match(self.message, max(at, 0))
            if tail is None:
                break
            self.name = self.name or tail["name"] or ""
            self.message = self.message[:at].rstrip()
        self.message = self._TABLES.sub("", self.message).replace(f"{NOTHING}.", "")
        if self.message.startswith(self._TOO_DEEP):
            self.message = self._HOW_DEEP
        super().__init__(self.message)

    def __str__(self) -> str:
        """Return the message, as it is now."""
        return self.message

    @property
    def offset(self) -> int | None:
        """Return the offset (in bytes of the statement, from 0) of a syntax error, when it is one."""
        match = self._POSITION.search(self.message)
        return int(match[1]) - 1 if match else None


class Engine(Protocol):
    """One ClickHouse, embedded or a server. Methods may be called from any thread; each blocks."""

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

    def close(self) -> None:
        """Finish what runs and let go of the data. May be called twice."""
        ...
