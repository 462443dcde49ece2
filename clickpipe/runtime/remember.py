"""A checker that asks ClickHouse only what it was not asked before, and starts it only for that.

What ClickHouse took is remembered (its refusals are not): a statement's answer by its text, its parameters and
the definitions of the tables it names. A table that was taken before is created when something new reads it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clickpipe.compiler import Checker, CheckFailure, ResultColumn
from clickpipe.engine import scratch_name, scratch_table

_Statement = tuple[str, Mapping[str, Any]]


class RememberingChecker:
    """The compiler's `Checker` with a memory: `answers` are those known, `used` the ones of this run."""

    def __init__(self, answers: Mapping[str, Any], start: Callable[[str], Checker]) -> None:
        """Keep the known answers; `start` gives the checker on a database of a name, when it is needed."""
        self._known = answers
        self._start = start
        self._checker: Checker | None = None
        self._database = scratch_name()
        self._table = re.compile(rf"`{self._database}`\.`(?:[^`\\]|\\.)*`")
        self._definitions: dict[str, str] = {}  # of tables, by their quoted name
        self._waiting: dict[str, str] = {}  # those not created yet
        self.used: dict[str, Any] = {}

    def table(self, name: str) -> str:
        """Return the quoted name of a scratch table."""
        return scratch_table(self._database, name)

    def create(self, ddl: str) -> CheckFailure | None:
        """Create a table, or note that it can be."""
        return self.create_all([ddl])[0]

    def create_all(self, statements: Sequence[str]) -> list[CheckFailure | None]:
        """Create those tables that were not before; note the others."""
        keys = [self._key("create", ddl) for ddl in statements]
        new = [n for n, key in enumerate(keys) if key not in self._known]
        found: list[CheckFailure | None] = [None] * len(statements)
        for number, failure in zip(
            new, self._ask().create_all([statements[n] for n in new]) if new else (), strict=True
        ):
            found[number] = failure
        for number, (key, ddl) in enumerate(zip(keys, statements, strict=True)):
            if found[number] is not None:
                continue
            self.used[key] = True
            match = self._table.search(ddl)
            if match is not None:
                self._definitions[match.group()] = ddl
                if key in self._known:
                    self._waiting[match.group()] = ddl
        return found

    def syntax(self, sql: str, params: Mapping[str, Any]) -> str | CheckFailure:
        """Return the syntax tree's text."""
        return self.syntax_all([(sql, params)])[0]

    def syntax_all(self, statements: Sequence[_Statement]) -> list[str | CheckFailure]:
        """Return the syntax trees' texts."""
        return self._answers("syntax", statements, lambda new: self._ask().syntax_all(new), _same, _same)

    def describe(self, sql: str, params: Mapping[str, Any]) -> list[ResultColumn] | CheckFailure:
        """Return the columns of a SELECT."""
        return self.describe_all([(sql, params)])[0]

    def describe_all(self, statements: Sequence[_Statement]) -> list[list[ResultColumn] | CheckFailure]:
        """Return the columns of each SELECT."""
        return self._answers("describe", statements, lambda new: self._ask().describe_all(new), _pairs, _columns)

    def refusals(self, statements: Sequence[_Statement]) -> list[CheckFailure | None]:
        """Return what is wrong with each SELECT."""
        return self._answers("refusal", statements, lambda new: self._ask().refusals(new), _same, _same)

    def _answers(
        self,
        kind: str,
        statements: Sequence[_Statement],
        ask: Callable[[Sequence[_Statement]], list[Any]],
        write: Callable[[Any], Any],
        read: Callable[[Any], Any],
    ) -> list[Any]:
        keys = [self._key(kind, sql, repr(dict(params)), *self._named(sql)) for sql, params in statements]
        new = [n for n, key in enumerate(keys) if key not in self._known]
        self._make(table for n in new for table in self._table.findall(statements[n][0]))
        fresh = dict(zip(new, ask([statements[n] for n in new]) if new else (), strict=True))
        found = []
        for number, key in enumerate(keys):
            answer = fresh[number] if number in fresh else read(self._known[key])
            if not isinstance(answer, CheckFailure):
                self.used[key] = write(answer)
            found.append(answer)
        return found

    def _named(self, sql: str) -> Iterator[str]:
        """Yield the definitions of the tables in a statement."""
        for table in sorted(set(self._table.findall(sql))):
            yield self._definitions.get(table, table)

    def _make(self, tables: Iterator[str]) -> None:
        """Create the tables that were only noted so far."""
        ddls = [self._waiting.pop(table) for table in dict.fromkeys(tables) if table in self._waiting]
        if ddls:
            self._ask().create_all(ddls)

    def _key(self, *parts: str) -> str:
        text = "\0".join(parts).replace(self._database, "")  # its name is another in each run
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]

    def _ask(self) -> Checker:
        if self._checker is None:
            self._checker = self._start(self._database)
        return self._checker


def _same(answer: Any) -> Any:
    return answer


def _pairs(columns: Any) -> Any:
    return columns if isinstance(columns, CheckFailure) else [[c.name, c.type] for c in columns]


def _columns(pairs: Any) -> list[ResultColumn]:
    return [ResultColumn(name, type_) for name, type_ in pairs]
