"""Parses SCHEMA blocks with the grammar `schema.lark`. Imported on demand: lark takes time to load."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import UnexpectedEOF, UnexpectedToken
from lark.tree import Meta

from clickpipe.datafile.directives import not_a_directive
from clickpipe.datafile.syntax import ColumnDef, Kind, TypeExpr
from clickpipe.diagnostics import Diagnostic, Span, Word

_UNSUPPORTED = {
    "MATERIALIZED": "MATERIALIZED columns are not supported",
    "ALIAS": "ALIAS columns are not supported",
    "TTL": "TTL on a column is not supported",
    "NOT": "NOT NULL is not supported",
    "NULL": "NULL after a type is not supported",
    "INDEX": "INDEX inside SCHEMA is not supported",
    "PROJECTION": "PROJECTION inside SCHEMA is not supported",
}
_MENDS = {
    "MATERIALIZED": "compute the column in a materialized view, or use DEFAULT",
    "ALIAS": "compute the column in the pipe that needs it",
    "TTL": "use ENGINE_TTL for the whole data source",
    "NOT": "leave it out: a column is not nullable unless its type is Nullable(...)",
    "NULL": "write Nullable(...) around the type",
    "INDEX": "put it in an INDEXES > block",
    "PROJECTION": "leave it out",
}

MISSING_COMMA = "a comma is missing after this column"

_DEEPEST = 200
_BRACKETS = re.compile(r"'(?:[^'\\]|\\.)*+'|`[^`\n]*+`|[()\[\]]", re.DOTALL)

_WORDS = re.compile(
    r"(?P<comment>--[^\n]*|#[^\n]*)|'(?:[^'\\]|\\.|'')*+'|`[^`\n]*+`|\w+|(?P<open>[(\[])|(?P<close>[)\]])|\S"
)
_NEXT_COLUMN = re.compile(
    r"(?:`[^`\n]++`|(?P<name>(?<!\w)[A-Za-z_]\w*+))[ \t]++(?P<type>[A-Z]\w*+)"
    r"(?=[ \t]*+(?:[(,\n]|`json:|--|#|\Z)|[ \t]++(?:DEFAULT|CODEC)\b)",
    re.ASCII,
)
# Words with which an expression may continue on the next line.
_GOES_ON = frozenset(
    {
        *("AND", "OR", "NOT", "XOR", "IS", "IN", "LIKE", "ILIKE", "REGEXP", "BETWEEN", "GLOBAL", "DIV", "MOD", "AS"),
        *("CASE", "WHEN", "THEN", "ELSE", "END", "OVER", "FILTER", "INTERVAL"),
    }
)

_Part = tuple[str, int, int]  # kind of clause, start, end


@v_args(meta=True)
class _Build(Transformer[Token, list[ColumnDef]]):
    """Builds columns while lark parses; offsets are relative to the block."""

    def __init__(self, text: str, base: Span) -> None:
        super().__init__()
        self._text = text
        self._base = base

    def _word(self, start: int, end: int) -> Word:
        return Word(self._text[start:end], self._base.sub(start, end))

    def start(self, _meta: Meta, children: list[ColumnDef]) -> list[ColumnDef]:
        return children

    def column(self, _meta: Meta, children: list[object]) -> ColumnDef:
        name = cast(Token, children[0])
        start, end = cast(int, name.start_pos), cast(int, name.end_pos)
        word = self._word(start + 1, end - 1) if name.type == "BACKTICK" else self._word(start, end)
        type_ = next((c for c in children[1:] if isinstance(c, TypeExpr)), None)
        parts = {c[0]: self._word(c[1], c[2]) for c in children[1:] if isinstance(c, tuple)}
        return ColumnDef(word, type_, parts.get("jsonpath"), parts.get("default"), parts.get("codec"))

    def type(self, meta: Meta, children: list[object]) -> TypeExpr:
        word = self._word(meta.start_pos, meta.end_pos)
        arguments = tuple(c for c in children if isinstance(c, TypeExpr))
        return TypeExpr(str(children[0]), word.text, word.span, arguments)

    def expr(self, meta: Meta, _children: list[object]) -> tuple[int, int]:
        return meta.start_pos, meta.end_pos

    def jsonpath(self, _meta: Meta, children: list[Token]) -> _Part:
        token = children[0]
        return "jsonpath", cast(int, token.start_pos) + len("`json:"), cast(int, token.end_pos) - 1

    def default(self, _meta: Meta, children: list[object]) -> _Part:
        start, end = cast("tuple[int, int]", children[1])
        return "default", start, end

    def codec(self, meta: Meta, _children: list[object]) -> _Part:
        return "codec", meta.start_pos, meta.end_pos


@cache
def _parser() -> Lark:
    grammar = files("clickpipe.datafile").joinpath("schema.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=False)


def parse_columns(block: Word) -> list[ColumnDef] | Diagnostic:
    """Return the columns of a block, or the diagnostic where the grammar stops."""
    if (deep := _too_deep(block.text)) is not None:
        message = f"brackets are nested more than {_DEEPEST} deep"
        return Diagnostic("CP1101", message, block.span.sub(deep, deep + 1), hint="use fewer levels")
    if (missing := _behind_a_default(block.text)) is not None:
        return _comma_is_missing(block, missing)
    try:
        return _Build(block.text, block.span).transform(_parser().parse(block.text))
    except UnexpectedInput as error:
        return _explain(error, block)


def _too_deep(text: str) -> int | None:
    """Return the offset at which brackets are nested too deeply to be parsed, or None."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(match.group(), 0)
        if depth > _DEEPEST:
            return match.start()
    return None


def _behind_a_default(text: str) -> int | None:
    """Return where a comma is missing after a DEFAULT, whose expression would swallow the column on the next line."""
    depth, end, default = 0, 0, False
    for word in _WORDS.finditer(text):
        if word["comment"]:
            continue
        if default and not depth and "\n" in text[end : word.start()]:
            column = _NEXT_COLUMN.match(text, word.start())
            if column is not None and not {(column["name"] or "").upper(), column["type"]} & _GOES_ON:
                return end
        depth = max(0, depth + bool(word["open"]) - bool(word["close"]))
        if not depth and word.group().upper() in {"DEFAULT", ","}:
            default = word.group() != ","
        end = word.end()
    return None


def _comma_is_missing(part: Word, end: int) -> Diagnostic:
    hint = "write one column per line, with a comma after each but the last"
    return Diagnostic("CP1101", MISSING_COMMA, part.span.sub(end - 1, end), hint=hint)


def _explain(error: UnexpectedInput, part: Word) -> Diagnostic:
    """Turn lark's error into a diagnostic that says what to write."""
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        at = len(part.text.rstrip())
        span = part.span.sub(max(0, at - 1), at)
        hint = "a column is: name Type `json:$.path` DEFAULT value; is a bracket not closed?"
        return Diagnostic("CP1101", "the column ends too early", span, hint=hint)
    at = error.pos_in_stream or 0  # type: ignore[redundant-expr]  # lark declares int, but returns None
    found = re.compile(r"`[^`\n]*`|\w+|\S").match(part.text, at)
    word = found.group() if found else ""
    span = part.span.sub(at, at + max(1, len(word)))
    if (message := _UNSUPPORTED.get(word.upper())) is not None:
        return Diagnostic("CP1104", message, span, hint=_MENDS[word.upper()])
    before = part.text[:at]
    if before.strip() and before.endswith("\n") and re.fullmatch("[A-Z][A-Z_]+", word):
        return not_a_directive(word, Kind.DATASOURCE, span)
    if before.strip() and before.rstrip(" \t").endswith("\n"):
        words = [word for word in _WORDS.finditer(before) if not word["comment"]]
        return _comma_is_missing(part, words[-1].end() if words else len(before.rstrip()))
    if word == "`":
        hint = "a jsonpath is one word in backticks: `json:$.path`"
        return Diagnostic("CP1101", "Expected closing backtick", span, hint=hint)
    hint = "a column is: name Type `json:$.path` DEFAULT value CODEC(...)"
    return Diagnostic("CP1101", f"unexpected '{word}' in the column", span, hint=hint)
