"""SQL text read by ClickHouse's own parser: which tables it names, and where.

ClickHouse's tree has no offsets. Where a name stands once, the lexer knows its place; elsewhere the text is parsed a
second time with each name that may be a table's replaced by one of its own, and the tree tells which of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from clickpipe.sql.lexer import Kind, Token, tokens
from clickpipe.sql.scopes import Named, Qualified, ShapesDiffer, Use, functions, main_table, named_lambdas, table_uses
from clickpipe.sql.tree import read_tree

_Failure = TypeVar("_Failure")
_MARK = "cp_mark_{}_"
_KEPT = 32_000_000  # characters of texts and trees that a reader keeps
_BEFORE_A_TABLE = frozenset({"FROM", "JOIN", "IN", ",", "("})


@dataclass(frozen=True, slots=True)
class TableReference:
    """A table name in SQL text: `database` is '' for a bare name; offsets cover the name as written.

    `repeated`: a table before it in the same FROM goes by the same name.
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
        """Tell whether what takes its place is to have its name as an alias."""
        return self.use is Use.FROM and not self.alias and not self.repeated

    @property
    def in_operator(self) -> bool:
        """Tell whether it stands behind IN, where it may be a column as well."""
        return self.use is Use.IN

    @property
    def length(self) -> int:
        """Return of how many parts the name is."""
        return self.database.count(".") + 2 if self.database else 1

    @property
    def full_name(self) -> str:
        """Return `database.name`, or the name alone."""
        return f"{self.database}.{self.name}" if self.database else self.name


@dataclass(frozen=True, slots=True)
class Qualifier:
    """A qualifier in SQL text (`events` in `events.id`) of a table that has another alias there."""

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
        """Return the names that it gives to lambdas."""
        return named_lambdas(read_tree(self.tree)) if '"lambda"' in self.tree else frozenset()

    @cached_property
    def functions(self) -> frozenset[str]:
        """Return the names of the functions that it calls."""
        return functions(read_tree(self.tree))


class Reader(Generic[_Failure]):
    """Reads statements with ClickHouse's parser, each text once.

    `parse` returns for each text its tree as JSON, or what the parser has against it.
    """

    def __init__(self, parse: Callable[[Sequence[str]], list[str | _Failure]]) -> None:
        """Start with nothing read."""
        self.parse = parse
        self._known: dict[str, Syntax | _Failure] = {}
        self._size = 0

    def read(self, text: str) -> Syntax | _Failure:
        """Read one statement."""
        return self.read_all([text])[0]

    def read_all(self, texts: Sequence[str]) -> list[Syntax | _Failure]:
        """Read statements, those that are not known yet together."""
        known = self._known
        new = list(dict.fromkeys(text for text in texts if text not in known))
        found = dict(zip(new, self._read(new), strict=True)) if new else {}
        result = [known[text] if text in known else found[text] for text in texts]
        for text, syntax in found.items():
            self._keep(text, syntax)
        return result

    def _keep(self, text: str, syntax: Syntax | _Failure) -> None:
        size = len(text) + (len(syntax.tree) if isinstance(syntax, Syntax) else 0)
        if self._size + size > _KEPT:
            self._known, self._size = {}, 0
        self._known[text] = syntax
        self._size += size

    def _read(self, texts: Sequence[str]) -> list[Syntax | _Failure]:
        found: list[Syntax | _Failure] = []
        unclear: dict[int, list[_Marked]] = {}
        for number, (text, tree) in enumerate(zip(texts, self.parse(texts), strict=True)):
            if not isinstance(tree, str):
                found.append(tree)
                continue
            syntax, ways = _first_look(text, tree)
            found.append(syntax)
            if ways:
                unclear[number] = ways
        for again in range(2):  # first with all names marked, then with those only that stand where a table may
            asked = [(number, ways[again]) for number, ways in unclear.items() if len(ways) > again]
            answers = self.parse([way.text for _, way in asked]) if asked else ()
            for (number, way), answer in zip(asked, answers, strict=True):
                before = found[number]
                placed = way.placed(before, answer) if isinstance(answer, str) and isinstance(before, Syntax) else None
                if placed is not None:
                    found[number] = placed
                    del unclear[number]
        return found


def _first_look(text: str, tree: str) -> tuple[Syntax, list[_Marked]]:
    """Return what a tree tells by itself, and the texts to parse when that is not enough."""
    uses, names = table_uses(root := read_tree(tree))
    if not uses:
        return Syntax(text, tree), []
    every = list(tokens(text))
    candidates = [n for n in range(len(every)) if _may_name(every[n], uses)]
    if not names and len(candidates) == len(uses) == len({use.parts[0] for use in uses}):
        by_name = {every[n].value: n for n in candidates}
        if all(use.parts[0] in by_name for use in uses):
            return _placed(text, tree, every, [(use, by_name[use.parts[0]]) for use in uses], (), root), []
    unplaced = Syntax(text, tree, unplaced=".".join(uses[0].parts))
    likely = [n for n in candidates if every[n].kind is Kind.TEXT or _stands_for_a_table(every, n)]
    return unplaced, [_Marked.of(text, every, candidates), _Marked.of(text, every, likely)]


def _may_name(token: Token, uses: Iterable[Named]) -> bool:
    for use in uses:
        if use.use is Use.TEXT:
            if token.kind is Kind.TEXT and token.value == ".".join(use.parts):
                return True
        elif token.is_name and token.value == use.parts[0]:
            return True
    return False


def _stands_for_a_table(every: Sequence[Token], number: int) -> bool:
    before = every[number - 1].value.upper() if number else ""
    after = every[number + 1].value if number + 1 < len(every) else ""
    return before in _BEFORE_A_TABLE or after == "."


@dataclass(frozen=True, slots=True)
class _Marked:
    """A text in which some tokens are replaced by marks; `by_mark` tells which token each stands for."""

    text: str
    every: Sequence[Token]
    by_mark: Mapping[str, int]

    @classmethod
    def of(cls, text: str, every: Sequence[Token], numbers: Iterable[int]) -> _Marked:
        parts: list[str] = []
        by_mark: dict[str, int] = {}
        at = 0
        for number in numbers:
            token, mark = every[number], _MARK.format(number)
            by_mark[mark] = number
            parts += [text[at : token.start], f"'{mark}'" if token.kind is Kind.TEXT else mark]
            at = token.end
        return cls("".join([*parts, text[at:]]), every, by_mark)

    def placed(self, syntax: Syntax, tree: str) -> Syntax | None:
        """Return the statement with its tables' places; None when this tree does not tell them."""
        root = read_tree(syntax.tree)
        try:
            uses, names = table_uses(root, read_tree(tree))
        except ShapesDiffer:
            return None
        found = [(use, self._token(use.marked)) for use in uses]
        qualified = [(name, self._token(name.marked)) for name in names]
        placed = [(use, token) for use, token in found if token is not None]
        if len(placed) < len(found) or len({token for _, token in placed}) < len(found):
            return None
        if any(token is None for _, token in qualified):
            return None
        known = [(name, token) for name, token in qualified if token is not None]
        return _placed(syntax.text, syntax.tree, self.every, placed, known, root)

    def _token(self, node: Mapping[str, Any]) -> int | None:
        value = node.get("value")
        name = str(value["value"]) if value else (node.get("name_parts") or [node.get("name", "")])[0]
        return self.by_mark.get(name)


def _placed(
    text: str,
    tree: str,
    every: Sequence[Token],
    uses: Iterable[tuple[Named, int]],
    names: Iterable[tuple[Qualified, int]],
    root: Mapping[str, Any],
) -> Syntax:
    found: dict[int, TableReference] = {}
    for use, number in uses:
        length = 1 if use.use is Use.TEXT else len(use.parts)
        start, end = _stretch(every, number, length)
        found[id(use.node)] = TableReference(
            use.parts[-1], ".".join(use.parts[:-1]), start, end, use.alias, use.use, use.repeated
        )
    qualifiers = [
        Qualifier(*_stretch(every, number, name.length), found[id(name.table.node)]) for name, number in names
    ]
    main = main_table(root)
    first = found.get(id(main)) if main is not None else None
    return Syntax(text, tree, tuple(found.values()), tuple(qualifiers), first)


def _stretch(every: Sequence[Token], number: int, length: int) -> tuple[int, int]:
    """Return the offsets of a name of so many parts, `.` between them."""
    return every[number].start, every[number + 2 * (length - 1)].end


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
    """Return a name as ClickHouse takes it anywhere: in backticks, escaped."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def quote_literal(text: str) -> str:
    """Return text as a ClickHouse string literal. For text of a project's files, never of a request."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def table_name(quoted: str) -> tuple[str, ...]:
    """Return the parts of a table's quoted name: `db`.`table` is (db, table)."""
    return tuple(token.value for token in tokens(quoted) if token.is_name)
