"""The compiler's interface to ClickHouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ResultColumn:
    """A column that a query function returns: its name and ClickHouse type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """Why ClickHouse refused a statement: the error's name, its message, the byte offset if known."""

    name: str
    message: str
    offset: int | None = None


class Checker(Protocol):
    """ClickHouse's analyzer on empty tables. Every method returns a failure instead of raising it."""

    def create(self, ddl: str) -> CheckFailure | None:
        """Run a CREATE TABLE in the scratch database."""
        ...

    def table(self, name: str) -> str:
        """Return the quoted name of a scratch table."""
        ...

    def syntax(self, sql: str) -> str | CheckFailure:
        """Return the syntax tree of a statement, as `clickpipe.sql.check` reads it."""
        ...

    def describe(self, sql: str, params: Mapping[str, Any]) -> list[ResultColumn] | CheckFailure:
        """Return the columns of a SELECT."""
        ...

    def create_all(self, statements: Sequence[str]) -> list[CheckFailure | None]:
        """Run several CREATE TABLEs."""
        ...

    def syntax_all(self, statements: Sequence[str]) -> list[str | CheckFailure]:
        """Return the result of `syntax` for each statement."""
        ...

    def describe_all(
        self, statements: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[list[ResultColumn] | CheckFailure]:
        """Return the result of `describe` for each SELECT."""
        ...

    def refusals(self, statements: Sequence[tuple[str, Mapping[str, Any]]]) -> list[CheckFailure | None]:
        """Return the failure that `describe` would return for each SELECT, or None; faster if columns don't matter."""
        ...
