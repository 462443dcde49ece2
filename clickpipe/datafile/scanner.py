"""Splits text into statements. Never fails: whatever it cannot place becomes a diagnostic, and scanning continues.

The rules are in docs/datafiles.md: one directive per line, in upper or lower case; `#` starts a comment outside blocks;
`DIRECTIVE >` opens a block, which ends at the first line that is not indented and starts with a directive of this kind
of file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from clickpipe.datafile.directives import DIRECTIVES, Directive, Form, not_a_directive, taken_with_a_word
from clickpipe.datafile.syntax import Kind, Statement
from clickpipe.diagnostics import Diagnostic, Span, Word, did_you_mean

_FIRST_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class _Scan:
    """The state of one scan."""

    file: str
    text: str
    known: dict[str, Directive]
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def span(self, start: int, end: int) -> Span:
        return Span(self.file, start, end)

    def word(self, start: int, end: int) -> Word:
        return Word(self.text[start:end], self.span(start, end))

    def error(self, code: str, message: str, span: Span, hint: str = "") -> None:
        self.diagnostics.append(Diagnostic(code, message, span, hint=hint))


def scan(file: str, text: str, kind: Kind) -> tuple[list[Statement], list[Diagnostic]]:
    """Return the statements of a datafile, and diagnostics of what could not be scanned."""
    state = _Scan(file, text, DIRECTIVES[kind])
    return list(_statements(state, kind)), state.diagnostics


def _lines(text: str, start: int) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of each line from `start` on, without line ends."""
    length = len(text)
    while start < length:
        newline = text.find("\n", start)
        end = length if newline < 0 else newline
        yield start, end
        start = end + 1


def _statements(state: _Scan, kind: Kind) -> Iterator[Statement]:
    at = 1 if state.text.startswith("\ufeff") else 0
    while at < len(state.text):
        newline = state.text.find("\n", at)
        end = len(state.text) if newline < 0 else newline
        start = at + _indent(state.text, at, end)
        at = end + 1
        if start >= end or state.text[start] == "#":
            continue
        word = _FIRST_WORD.match(state.text, start, end)
        directive = state.known.get(word.group().upper()) if word else None
        if word is None or directive is None:
            _unknown(state, kind, start, end)
            continue
        keyword = state.word(word.start(), word.end())
        rest = word.end() + _indent(state.text, word.end(), end)
        if rest < end and state.text[rest] == ">":
            block, at = _block(state, rest + 1, end)
            statement = _with_block(state, directive, keyword, block)
        else:
            statement = _on_line(state, directive, keyword, rest, end)
        remark = taken_with_a_word(directive, keyword.span)
        if remark is not None:
            state.diagnostics.append(remark)
        if statement is not None and not directive.refused:
            yield statement


def _indent(text: str, start: int, end: int) -> int:
    part = text[start:end]
    return len(part) - len(part.lstrip())


def _unknown(state: _Scan, kind: Kind, start: int, end: int) -> None:
    match = re.compile(r"\S+").match(state.text, start, end)
    word = match.group() if match else ""
    state.diagnostics.append(not_a_directive(word, kind, state.span(start, start + len(word))))


def _block(state: _Scan, first: int, end: int) -> tuple[Word, int]:
    """Return the block that starts after `>` at `first`, and where to continue."""
    text = state.text
    same_line = text[first:end].strip()
    start = first if same_line and not same_line.startswith("#") else min(end + 1, len(text))
    stop = max(end, start)
    for line_start, line_end in _lines(text, end + 1):
        word = _FIRST_WORD.match(text, line_start, line_end)
        if word is not None and word.group().upper() in state.known and _ends_word(text, word.end(), line_end):
            return state.word(start, max(start, line_start)), line_start
        stop = line_end
    stop = max(start, stop)
    return state.word(start, stop), len(text)


def _ends_word(text: str, at: int, end: int) -> bool:
    """Return whether a directive's name ends here; `type(x)` and `filter.x` in a body are not directives."""
    return at >= end or text[at].isspace() or text[at] == ">"


def _with_block(state: _Scan, directive: Directive, keyword: Word, block: Word) -> Statement | None:
    if directive.form not in {Form.BLOCK, Form.EITHER, Form.FREE}:
        message = f"{directive.name} does not support multiline arguments"
        state.error("CP1005", message, keyword.span, f"write it on one line: {directive.example}")
        return None
    if not block.text.strip():
        message = f"the block of {directive.name} is empty"
        state.error("CP1009", message, keyword.span, f"put its lines below, indented:\n{directive.example}")
        return None
    return Statement(directive.name, keyword, block=block)


def _on_line(state: _Scan, directive: Directive, keyword: Word, start: int, end: int) -> Statement | None:
    if directive.form is Form.BLOCK:
        message = f"{directive.name} must be multiline"
        hint = f"use > to start a multiline block:\n{directive.example}"
        state.error("CP1004", message, keyword.span, hint)
        return None
    if directive.form is not Form.FREE:
        end = _without_comment(state.text, start, end)
    end = start + len(state.text[start:end].rstrip())
    if directive.form is Form.WORDS:
        return _words(state, directive, keyword, start, end)
    if start >= end:
        if directive.form is Form.FREE:
            return None
        message = f"{directive.name} needs a value"
        state.error("CP1003", message, keyword.span, f"for example: {directive.example}")
        return None
    value = _unquote(state, start, end)
    if directive.choices and value.text.lower() not in directive.choices:
        allowed = ", ".join(directive.choices)
        hint = did_you_mean(value.text, directive.choices) or f"for example: {directive.example}"
        state.error("CP1008", f"{directive.name} takes one of: {allowed}", value.span, hint)
        return None
    return Statement(directive.name, keyword, value=value)


def _without_comment(text: str, start: int, end: int) -> int:
    """Return where the line's value ends, before a trailing `# comment` outside quotes."""
    quote = ""
    for at in range(start, end):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#" and (at == start or text[at - 1].isspace()):
            return at
    return end


def _unquote(state: _Scan, start: int, end: int) -> Word:
    """Return the value without quotes, if one pair encloses all of it."""
    text = state.text[start:end]
    if len(text) > 1 and text[0] in "'\"" and text[-1] == text[0]:
        inside = _TEMPLATE.sub("", text[1:-1])  # a template call has its own quotes
        if text[0] not in inside:
            return state.word(start + 1, end - 1)
    return state.word(start, end)


_TEMPLATE = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}")
_SHELL_WORD = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^\s"']\S*))""")


def _words(state: _Scan, directive: Directive, keyword: Word, start: int, end: int) -> Statement | None:
    words: list[Word] = []
    at = start
    while at < end:
        match = _SHELL_WORD.match(state.text, at, end)
        if match is None:
            span = state.span(at + _indent(state.text, at, end), end)
            state.error("CP1007", "the quote is not closed", span, f"for example: {directive.example}")
            return None
        group = match.lastindex or 3
        words.append(state.word(match.start(group), match.end(group)))
        at = match.end()
        at += _indent(state.text, at, end)
    least, most = directive.arity
    if not least <= len(words) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        plural = "" if most == 1 else "s"
        message = f"{directive.name} takes {count} argument{plural}, {len(words)} given"
        state.error("CP1003", message, keyword.span, f"for example: {directive.example}")
        return None
    return Statement(directive.name, keyword, words=tuple(words))
