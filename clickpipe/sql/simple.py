"""Table references of plain SELECTs, read from tokens: what the parser finds, without the parser.

Gives up (None) on whatever could make a name mean something else: WITH, table functions, commas in FROM,
ARRAY JOIN, FINAL, a name behind IN, odd aliases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?:\s+|--[^\n]*|/\*[^*]*\*/)+|'(?:[^'\\]|\\.)*'(?!')|(?P<word>[A-Za-z_]\w*)|(?P<number>\d+(?:\.\d+)?(?!\w))"""
    r"""|(?P<parameter>\{\w+:[\w(), ]+\})|<=|>=|<>|!=|\|\||::|->|(?P<mark>[(),.=<>+*/%\[\]-])""",
    re.ASCII,
)
_JOIN_WORDS = frozenset({"INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER", "JOIN"})
_ENDS_TABLE = _JOIN_WORDS | {"WHERE", "PREWHERE", "GROUP", "ORDER", "LIMIT", "HAVING", "ON", "USING", "UNION", ")", ""}
_KEYWORDS = frozenset(
    {
        *_ENDS_TABLE,
        *("SELECT", "FROM", "AS", "BY", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ILIKE", "BETWEEN", "DISTINCT"),
        *("ALL", "ASC", "DESC", "CASE", "WHEN", "THEN", "ELSE", "END", "OFFSET", "INTERVAL"),
    }
)
# Words by which something else than a table may follow, or what stands before FROM may be another statement.
_UNFAMILIAR = frozenset(
    {
        *("WITH", "ARRAY", "FINAL", "SAMPLE", "ASOF", "ANY", "SEMI", "ANTI", "GLOBAL", "PASTE", "NATURAL", "LATERAL"),
        *("EXCEPT", "INTERSECT", "MINUS", "TABLE", "VALUES", "SETTINGS", "FORMAT", "INTO", "WINDOW", "QUALIFY"),
        *("PIVOT", "UNPIVOT", "APPLY", "REPLACE", "COLUMNS", "DESCRIBE", "EXPLAIN", "SHOW", "INSERT", "CREATE"),
        *("DROP", "ALTER", "TABLESAMPLE", "MATCH_RECOGNIZE", "STRUCT", "RECURSIVE", "CONNECT", "FOR", "TOP"),
    }
)


@dataclass(frozen=True, slots=True)
class SimpleTable:
    """A table's bare name at its offsets, and its alias."""

    name: str
    start: int
    end: int
    alias: str


@dataclass(frozen=True, slots=True)
class _Token:
    text: str  # a keyword in upper case
    word: bool
    start: int
    end: int


_END = _Token("", word=False, start=-1, end=-1)


def simple_tables(sql: str) -> list[SimpleTable] | None:
    """Return the tables that a plain SELECT reads, in text order; None where only the parser can tell."""
    tokens = _tokens(sql)
    if tokens is None or len(tokens) < 2 or tokens[0].text != "SELECT" or not _plain(tokens):  # noqa: PLR2004
        return None
    found: list[SimpleTable] = []
    for number, token in enumerate(tokens):
        if token.text in {"FROM", "JOIN"} and tokens[number + 1 : number + 2] != [_bracket(tokens, number + 1)]:
            table = _table(sql, tokens, number + 1)
            if table is None:
                return None
            found.append(table)
    return found


def _bracket(tokens: list[_Token], at: int) -> _Token | None:
    """Return the bracket at a token, when a sub-query opens there."""
    opens = [t.text for t in tokens[at : at + 2]] == ["(", "SELECT"]
    return tokens[at] if opens else None


def _plain(tokens: list[_Token]) -> bool:
    """Tell whether brackets match, each FROM has its SELECT, and each IN a list or a sub-query."""
    selects = [True]  # for each open bracket: whether a SELECT stands in it
    for before, token, after in zip([_END, *tokens], tokens, [*tokens[1:], _END], strict=False):
        if token.text == "(":
            selects.append(after.text == "SELECT")
        elif token.text == ")":
            selects.pop()
        odd = (
            not selects
            or (token.text == "SELECT" and before.text not in {"", "(", "ALL", "DISTINCT"})
            or (token.text == "IN" and not after.text.startswith(("(", "{")))
            or (token.text in {"FROM", "JOIN"} and (not selects[-1] or before.text == "."))
        )
        if odd:
            return False
    return len(selects) == 1


def _tokens(sql: str) -> list[_Token] | None:
    tokens: list[_Token] = []
    at = 0
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        if match is None:
            return None
        at = match.end()
        text = match.group()
        if text[0].isspace() or text.startswith(("--", "/*")):
            continue
        upper = text.upper() if match["word"] else ""
        if upper in _UNFAMILIAR:
            return None
        tokens.append(
            _Token(upper if upper and upper in _KEYWORDS else text, bool(match["word"]), match.start(), match.end())
        )
    return tokens


def _table(sql: str, tokens: list[_Token], at: int) -> SimpleTable | None:
    """Return the table at a token: a bare name, then nothing, or AS and an alias."""
    tail = [*tokens[at : at + 4], _END, _END, _END, _END]
    name = tail[0]
    if not name.word or name.text in _KEYWORDS:
        return None
    if tail[1].text in _ENDS_TABLE:
        return SimpleTable(name.text, name.start, name.end, "")
    alias = tail[2]
    if tail[1].text == "AS" and alias.word and alias.text not in _KEYWORDS and tail[3].text in _ENDS_TABLE:
        return SimpleTable(name.text, name.start, name.end, sql[alias.start : alias.end])
    return None
