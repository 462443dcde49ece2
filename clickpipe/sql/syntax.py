"""A statement with the positions of the tables that it names, and the replacement of these in its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from clickpipe.sql.lexer import tokens
from clickpipe.sql.scopes import Use, functions, named_lambdas
from clickpipe.sql.tree import read_tree


@dataclass(frozen=True, slots=True)
class TableReference:
    """A table name in SQL text: `database` is '' for a bare name; offsets cover the name as written.

    `repeated` means that an earlier table in the same FROM has the same name.
    """

    name: str
    database: str
    start: int
    end: int
    alias: str = ""
    use: Use = Use.FROM
    repeated: bool = False

    @property
    def keeps_name(self) -> bool:
        """Return whether its replacement needs its name as an alias."""
        return self.use is Use.FROM and not self.alias and not self.repeated

    @property
    def in_operator(self) -> bool:
        """Return whether it follows IN, where it may also be a column."""
        return self.use is Use.IN

    @property
    def length(self) -> int:
        """Return the number of parts of the name."""
        return self.database.count(".") + 2 if self.database else 1

    @property
    def full_name(self) -> str:
        """Return `database.name`, or the name alone."""
        return f"{self.database}.{self.name}" if self.database else self.name


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A qualifier in SQL text (`events` in `events.id`) of a table that has a different alias there."""

    start: int
    end: int
    table: TableReference


@dataclass(frozen=True)
class Syntax:
    """One statement as ClickHouse reads it: its tree (JSON), and the tables that it names, by offset.

    `tables` and `qualifiers` are in the order of the tree. `unplaced` is a table whose place in the text cannot be
    told: such a statement cannot be composed.
    """

    text: str
    tree: str
    tables: tuple[TableReference, ...] = ()
    qualifiers: tuple[Qualifier, ...] = ()
    main: TableReference | None = None
    unplaced: str = ""

    @cached_property
    def lambdas(self) -> frozenset[str]:
        """Return the names given to lambdas."""
        return named_lambdas(read_tree(self.tree)) if '"lambda"' in self.tree else frozenset()

    @cached_property
    def functions(self) -> frozenset[str]:
        """Return the names of the functions called."""
        return functions(read_tree(self.tree))


def edits(syntax: Syntax, replace: Callable[[TableReference], str | None]) -> Iterator[tuple[int, int, str]]:
    """Yield what is to be written instead of which stretch of a statement's text, in the order of the text.

    `replace` gives SQL that reads as the table, None to keep the name. A table without an alias keeps its name as one,
    so that `events.user_id` goes on working; one with another alias is meant by that in qualified names.
    """
    found: list[tuple[int, int, str]] = []
    replaced: set[TableReference] = set()
    for table in syntax.tables:
        new = replace(table)
        if new is None:
            continue
        replaced.add(table)
        found.append((table.start, table.end, f"{new} AS {quote_identifier(table.name)}" if table.keeps_name else new))
    for qualifier in dict.fromkeys(syntax.qualifiers):
        if qualifier.table in replaced:
            name = quote_identifier(qualifier.table.alias or qualifier.table.name)
            found.append((qualifier.start, qualifier.end, name))
    yield from sorted(found)


def splice(syntax: Syntax, replace: Callable[[TableReference], str | None]) -> str:
    """Return a statement's text with tables replaced as `edits` says."""
    parts: list[str] = []
    at = 0
    for start, end, new in edits(syntax, replace):
        parts += [syntax.text[at:start], new]
        at = end
    return "".join([*parts, syntax.text[at:]])


def quote_identifier(name: str) -> str:
    """Return a name in backticks and escaped, as ClickHouse accepts it anywhere."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def quote_literal(text: str) -> str:
    """Return text as a ClickHouse string literal. For text of a project's files, never of a request."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def table_name(quoted: str) -> tuple[str, ...]:
    """Return the parts of a table's quoted name: `db`.`table` is (db, table)."""
    return tuple(token.value for token in tokens(quoted) if token.is_name)
