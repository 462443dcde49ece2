"""Asks ClickHouse about composed SELECTs, each of which is validated first.

The analyzer opens what a statement reads, and reveals it in errors: an untrusted project could read files of the host.
So each text must be a single SELECT over the scratch tables that were put into it, or it is not sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from clickpipe.compiler.checker import Checker, CheckFailure, ResultColumn
from clickpipe.compiler.statements import Statement
from clickpipe.sql import Composition, check as check_statement, is_as_meant

_NOT_ALLOWED = "NOT_ALLOWED"
Answer = list[ResultColumn] | CheckFailure | None


class Questions:
    """Asks about each statement once. `sources` are the table functions that copies may read."""

    def __init__(self, checker: Checker, sources: Collection[str] = ()) -> None:
        """Start with an empty cache."""
        self._checker = checker
        self._sources = sources
        self._judged: dict[str, CheckFailure | None] = {}
        self._columns: dict[tuple[str, str], Answer] = {}
        self._refusals: dict[tuple[str, str], Answer] = {}

    def columns(self, statement: Statement) -> Answer:
        """Return the columns of a SELECT, or why ClickHouse refuses it."""
        self.ask_columns([statement])
        return self._columns[statement.key]

    def refusal(self, statement: Statement) -> Answer:
        """Return why ClickHouse refuses a SELECT; anything else if it accepts it."""
        if statement.key in self._columns:
            return self._columns[statement.key]
        self.ask_refusals([statement])
        return self._refusals[statement.key]

    def ask_columns(self, statements: Iterable[Statement]) -> None:
        """Fetch the columns of several statements in one request."""
        new = self._new(statements, self._columns)
        answers = self._checker.describe_all([(s.sql, s.params) for s in new])
        self._columns.update(zip((s.key for s in new), answers, strict=True))

    def ask_refusals(self, statements: Iterable[Statement]) -> None:
        """Fetch the errors of several statements in one request."""
        new = self._new(statements, self._refusals)
        answers = self._checker.refusals([(s.sql, s.params) for s in new])
        self._refusals.update(zip((s.key for s in new), answers, strict=True))

    def with_params(self, statement: Statement, params: Mapping[str, Any]) -> Answer:
        """Return the columns of a statement that was asked about before, with other parameters."""
        if (refused := self._judged[statement.sql]) is not None:
            return refused
        return self._checker.describe(statement.sql, params)

    def _new(self, statements: Iterable[Statement], known: dict[tuple[str, str], Answer]) -> list[Statement]:
        """Return the statements that still have to be sent, each once; those refused without asking are answered."""
        new = list({s.key: s for s in statements if s.key not in known}.values())
        self._judge(new)
        refused = {s.key: self._judged[s.sql] for s in new if self._judged[s.sql] is not None}
        known.update(refused)
        return [s for s in new if s.key not in refused]

    def _judge(self, statements: Sequence[Statement]) -> None:
        new = {s.sql: s for s in statements if s.sql not in self._judged}
        texts = list(dict.fromkeys(text for s in new.values() for text in (s.composed.text, s.sql)))
        trees = dict(zip(texts, self._checker.syntax_all(texts), strict=True))
        for sql, statement in new.items():
            self._judged[sql] = self._refused(statement, trees[statement.composed.text], trees[sql])

    def _refused(
        self, statement: Statement, composed: str | CheckFailure, asked: str | CheckFailure
    ) -> CheckFailure | None:
        if isinstance(composed, CheckFailure):
            return composed
        if isinstance(asked, CheckFailure):
            return asked
        if not is_as_meant(statement.composed, composed):
            message = "this query cannot be combined with what it reads: ClickHouse would parse the result differently"
            return CheckFailure(_NOT_ALLOWED, message)
        tables = set(tables_of(statement.composed))
        refusal = check_statement(composed, tables, sources=self._sources)
        if refusal is None and asked != composed:
            refusal = check_statement(asked, tables)
        return CheckFailure(_NOT_ALLOWED, f"{refusal.message} `{refusal.word}`") if refusal is not None else None


def tables_of(composed: Composition) -> Iterable[str]:
    """Yield the tables that were put into a composed SELECT, as `database.table`."""
    for table in composed.tables.values():
        if isinstance(table, Composition):
            yield from tables_of(table)
        else:
            yield ".".join(table)
