"""Parses SQL with ClickHouse's own parser: which tables it names, and where.

ClickHouse's tree has no offsets. If a name occurs once, the lexer finds its position; otherwise the text is parsed
again with a unique mark in place of each name that may be a table's, and the tree shows which marks are tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from clickpipe.sql.lexer import Kind, Token, tokens
from clickpipe.sql.scopes import Named, Qualified, ShapesDiffer, Use, main_table, table_uses
from clickpipe.sql.syntax import Qualifier, Syntax, TableReference
from clickpipe.sql.tree import read_tree

_Failure = TypeVar("_Failure")
_MARK = "cp_mark_{}_"
_KEPT = 32_000_000  # characters of texts and trees to cache
_BEFORE_A_TABLE = frozenset({"FROM", "JOIN", "IN", ",", "("})


class Reader(Generic[_Failure]):
    """Parses statements with ClickHouse's parser, each text once.

    `parse` returns for each text its tree as JSON, or the parser's error.
    """

    def __init__(self, parse: Callable[[Sequence[str]], list[str | _Failure]]) -> None:
        """Start with an empty cache."""
        self.parse = parse
        self._known: dict[str, Syntax | _Failure] = {}
        self._size = 0

    def read(self, text: str) -> Syntax | _Failure:
        """Parse one statement."""
        return self.read_all([text])[0]

    def read_all(self, texts: Sequence[str]) -> list[Syntax | _Failure]:
        """Parse statements; those that are not cached in one request."""
        known = self._known
        new = list(dict.fromkeys(text for text in texts if text not in known))
        found = dict(zip(new, self._read(new, self.parse(new)), strict=True)) if new else {}
        result = [known[text] if text in known else found[text] for text in texts]
        for text, syntax in found.items():
            self._keep(text, syntax)
        return result

    def read_both(self, text: str, other: str) -> tuple[Syntax | _Failure, str]:
        """Parse one statement; also return the tree of another text, or '' if it was not needed or does not parse.

        Both are parsed in one query.
        """
        if text in self._known or not other:
            return self.read(text), ""
        tree, second = self.parse([text, other])
        [syntax] = self._read([text], [tree])
        self._keep(text, syntax)
        return syntax, second if isinstance(second, str) else ""

    def _keep(self, text: str, syntax: Syntax | _Failure) -> None:
        size = len(text) + (len(syntax.tree) if isinstance(syntax, Syntax) else 0)
        if self._size + size > _KEPT:
            self._known, self._size = {}, 0
        self._known[text] = syntax
        self._size += size

    def _read(self, texts: Sequence[str], trees: Sequence[str | _Failure]) -> list[Syntax | _Failure]:
        found: list[Syntax | _Failure] = []
        unclear: dict[int, list[_Marked]] = {}
        for number, (text, tree) in enumerate(zip(texts, trees, strict=True)):
            if not isinstance(tree, str):
                found.append(tree)
                continue
            syntax, ways = _first_look(text, tree)
            found.append(syntax)
            if ways:
                unclear[number] = ways
        for again in range(2):  # first with all names marked, then only those at places for tables
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
    """Return what a tree reveals on its own, and the texts to parse if that is not enough."""
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
    """A text in which some tokens are replaced by marks; `by_mark` maps marks to the numbers of their tokens."""

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
        """Return the statement with the positions of its tables; None if this tree does not reveal them."""
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
    """Return the offsets of a name with this number of parts, separated by dots."""
    return every[number].start, every[number + 2 * (length - 1)].end
