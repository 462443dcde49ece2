"""What goes to ClickHouse and comes back: parameters, settings, results, errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
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
    """The rest of a streamed result, part by part."""

    def take(self) -> bytes | None:
        """Return the next part, or None at the end. Blocks. Raises EngineError."""
        ...

    def close(self) -> None:
        """Stop reading; this ends the query. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query's result: its unchanged bytes, rows and bytes read, seconds taken, rows in the result.

    `queued` is how many seconds it waited for its turn.

    If the result was too large to hold, `more` yields what follows `body`; rows and times are those so far. Its query
    runs until `ended` is done.
    """

    body: bytes
    rows_read: int
    bytes_read: int
    elapsed: float
    rows: int = 0
    more: Parts | None = None
    queued: float = 0.0
    ended: Future[None] | None = None


def whole(result: QueryResult) -> QueryResult:
    """Return a result with all of it in its body. Blocks. Raises EngineError."""
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
    """A check of the disk: how many writes the system had refused, and when it was (Unix time in seconds).

    `repairs` counts how often something written was removed again because it had not reached the disk.
    """

    refused: int
    at: float
    repairs: int


NOTHING = "clickpipe_nothing"  # the current database of every session; it has no tables


class EngineError(Exception):
    """ClickHouse refused a statement: error number and name, and the message without its wrapping."""

    _HEAD = re.compile(r"(?:Code: (?P<code>\d+)\. DB::Exception: )+")
    _TAIL = re.compile(r" \((?:(?P<name>[A-Z_0-9]+)|version [^()]*)\)$")
    _POSITION = re.compile(r"failed at position (\d+)")
    _TABLES = re.compile(
        r"\s?Maybe you meant:? (?!\[)[^?\n]{1,500}\?\.?"
    )  # may name tables of other workspaces; lists in [] name columns and the like
    _TOO_DEEP = ("Maximum parse depth (1000) exceeded", "AST is too deep. Maximum: 1000")
    _HOW_DEEP = (
        "The SQL is nested too deeply: ClickHouse's parser goes 1,000 levels deep, of which a function or operator "
        "takes 2, a bracket 5, a sub-query up to 13"
    )

    def __init__(self, text: str) -> None:
        """Parse a ClickHouse error message."""
        head = self._HEAD.search(text)
        self.is_damage = False  # whether a file of a table is damaged: then it is no fault of the statement
        self.code = int(head["code"]) if head else 0
        self.name = ""
        self.message = text[head.end() :].strip() if head else text.strip()
        for _ in range(4 if head else 0):  # name and version, each once or twice
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
        """Return the message, which may have been changed since."""
        return self.message

    @property
    def offset(self) -> int | None:
        """Return a syntax error's offset (0-based, in bytes of the statement), or None for other errors."""
        match = self._POSITION.search(self.message)
        return int(match[1]) - 1 if match else None
