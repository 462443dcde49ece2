"""Splits SQL into tokens by the rules of ClickHouse's own lexer (26.9), to locate names and texts.

It skips what ClickHouse skips: comments (`--`, `# `, `#!`, `/* nested /* too */ */`) and white space of any script.
A heredoc (`$tag$…$tag$`) is one text, and so is what stands between quotes of any kind, typographic ones included.
Reading takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

_SPACE = "[\\s\u0085\u00a0\u180e\u2000-\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff]"
_TOKEN = re.compile(
    rf"(?P<space>{_SPACE}++|--[^\n]*+|\#[ !][^\n]*+)"
    r"|(?P<comment>/\*)"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*+(?:'|\Z)|‘[^’]*+(?:’|\Z))"
    r"|(?P<quoted>`(?:[^`\\]|\\.|``)*+(?:`|\Z)|\"(?:[^\"\\]|\\.|\"\")*+(?:\"|\Z)|“[^”]*+(?:”|\Z))"
    r"|(?P<heredoc>\$\w*+\$)"
    r"|(?P<number>0[xX][0-9a-fA-F_.]++(?:[pP][+-]?\d++)?+"
    r"|(?:\d[\d_]*+(?:\.[\d_]*+)?+|(?<![\w\])`\"”])\.\d[\d_]*+)(?:[eE][+-]?\d++)?+(?![\w$]))"
    r"|(?P<word>[A-Za-z_0-9$][\w$]*+)"
    r"|(?P<mark>->|::|\|\||<=>|<=|>=|<>|!=|==|.)",
    re.ASCII | re.DOTALL,
)
_HEREDOC = re.compile(r"\$\w*+(?=\$)", re.ASCII)
_CLOSING = {"'": "'", "‘": "’", "`": "`", '"': '"', "“": "”"}
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ESCAPES = {"b": "\b", "f": "\f", "r": "\r", "n": "\n", "t": "\t", "0": "\0", "a": "\a", "v": "\v", "e": "\x1b"}
_ESCAPE = re.compile(r"\\x([0-9A-Fa-f]{2})|\\(.)|(''|``|\"\")", re.DOTALL)


class Kind(Enum):
    """What a token is: a bare word, a quoted name, a text, a number, or one of the marks."""

    WORD = "word"
    QUOTED = "quoted"
    TEXT = "text"
    NUMBER = "number"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Token:
    """A token at its offsets; `value` is a name or text without quotes and escapes, else what is written."""

    kind: Kind
    value: str
    start: int
    end: int

    @property
    def is_name(self) -> bool:
        """Return whether the token can be a name."""
        return self.kind in {Kind.WORD, Kind.QUOTED}


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of SQL text, comments and white space left out.

    What ClickHouse would refuse comes as marks: its parser tells. The rest of a text whose quote is not closed is one.
    """
    at = 0
    last: dict[str, int] = {}  # last position of each heredoc's tag
    while at < len(sql):
        match = _TOKEN.match(sql, at)
        assert match is not None and match.lastgroup is not None  # noqa: S101, PT018 - the last alternative takes anything
        kind, written, start, at = match.lastgroup, match.group(), at, match.end()
        if kind == "comment":
            at = _comment_end(sql, at)
        elif kind == "heredoc":
            last = last or {tag.group(): tag.start() for tag in _HEREDOC.finditer(sql)}
            close = sql.find(written, at) if last.get(written[:-1], -1) >= at else -1
            if close < 0:
                at = start + len(written) - 1
                yield Token(Kind.WORD, written[:-1], start, at)
                continue
            at = close + len(written)
            yield Token(Kind.TEXT, sql[start + len(written) : close], start, at)
        elif kind in {"text", "quoted"}:
            closed = len(written) > 1 and written[-1] == _CLOSING[written[0]]
            yield Token(Kind(kind), _unquoted(written), start, at) if closed else Token(Kind.MARK, written, start, at)
        elif kind != "space":
            yield Token(Kind(kind), written, start, at)


def _comment_end(sql: str, at: int) -> int:
    """Return the offset after the comment whose opening ends at `at`. Comments nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, at)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


def _unquoted(written: str) -> str:
    inner = written[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if written[0] in "'`\"" and ("\\" in inner or written[0] in inner) else inner


def _unescaped(match: re.Match[str]) -> str:
    code, letter, doubled = match.groups()
    if code:
        return chr(int(code, 16))
    return doubled[0] if doubled else _ESCAPES.get(letter, letter)
