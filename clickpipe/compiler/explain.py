"""Translates ClickHouse's errors for authors: what is wrong, where in the file, how to fix it."""

from __future__ import annotations

import re

from clickpipe.compiler.checker import CheckFailure
from clickpipe.compiler.graph import Variant
from clickpipe.diagnostics import Span
from clickpipe.project import DataSource

_IN_SCOPE = re.compile(r"(?<!\s)[.:]?\s*+(?:[Ii]n scope|While processing|while executing)\b.*$", re.DOTALL)
_MAYBE = re.compile(r"(?<!\s)\.?\s*+Maybe you meant: (\[[^][\n]*+\])")
_AVAILABLE = re.compile(r" while processing: '(?:(?! while processing: ).)*?', required columns: .*$", re.DOTALL)
_FAILED_AT = re.compile(
    r"failed at position \d+ \(((?:(?!failed at position ).)*?)\)( \(line \d+, col \d+\))?:.*", re.DOTALL
)
_EXPECTED = re.compile(r"\. Expected one of: .*$", re.DOTALL)
# What older versions of ClickHouse accepted, and what to write instead.
_NEWER_ENGINE = (
    (
        re.compile(r"is not allowed in ORDER BY keys, because its values are not comparable"),
        "ClickHouse no longer sorts by aggregate states: leave it out of ORDER BY, or sort by finalizeAggregation(…)",
    ),
    (
        re.compile(r"Aggregate function .* is found in (WHERE|PREWHERE)", re.DOTALL),
        "an alias wins over a column of the same name: write <table>.<column> for the column, or HAVING for the result",
    ),
    (
        re.compile(r"Aggregate function .* is found inside another aggregate function", re.DOTALL),
        "an alias wins over a column of the same name: write <table>.<column> for the column, or rename the alias",
    ),
    (
        re.compile(r"Block structure mismatch.*different types", re.DOTALL),
        "two columns have one name and different types: rename the alias, or leave it out of * with EXCEPT",
    ),
)
_QUOTED = re.compile("[`'\u2018]([^`'\u2019]+)[`'\u2019]")
_FUNCTION = re.compile(r"function (\w+)")
_WORD = re.compile(r"\w+")
# How ClickHouse calls what an ENGINE_ option holds.
_OPTIONS = {
    "TTL expression": "TTL",
    "Partition key": "PARTITION_KEY",
    "Sorting key": "SORTING_KEY",
    "Primary key": "PRIMARY_KEY",
    "Sampling expression": "SAMPLING_KEY",
}


def clean(message: str) -> str:
    """Remove ClickHouse's view of our statement, and its guesses (which go to the hint), from its message."""
    text = _MAYBE.sub("", _EXPECTED.sub("", _AVAILABLE.sub("", message)))
    text = _IN_SCOPE.sub("", text).replace("expression or table expression identifier", "expression identifier")
    text = _FAILED_AT.sub(r"unexpected '\1'", text)
    return text.strip().rstrip(".:")


def hint_of(failure: CheckFailure) -> str:
    """Return what ClickHouse guesses was meant, or what it expected."""
    match = _MAYBE.search(failure.message)
    if match:
        return f"did you mean {match[1].strip('[]')}?"
    newer = next((hint for pattern, hint in _NEWER_ENGINE if pattern.search(failure.message)), "")
    return newer or expected(failure.message)


def expected(message: str) -> str:
    """Return the first few words that the parser expected; '' if the message lists none."""
    _, found, listed = message.partition("Expected one of: ")
    if not found:
        return ""
    words = [w.strip() for w in listed.rstrip("\n").removesuffix(".").split(",")]
    return f"expected one of: {', '.join(words[:8])}{' …' if len(words) > 8 else ''}"  # noqa: PLR2004 - enough to read


def place_in_sql(variant: Variant, message: str) -> Span:
    """Return the span of the word in the author's SQL that the message is about; else the whole first line."""
    text = variant.rendered.text
    head = _IN_SCOPE.sub("", message)
    for word in [*_QUOTED.findall(head), *_FUNCTION.findall(head)]:
        for candidate in (word, word.rsplit(".", 1)[-1]):
            match = re.search(rf"(?<![\w.]){re.escape(candidate)}(?!\w)", text)
            if match:
                return variant.rendered.locate(match.start(), len(candidate))
    at = len(text) - len(text.lstrip())
    return variant.rendered.locate(at, len(text[at:].split("\n", 1)[0]))


def place_in_schema(source: DataSource, message: str) -> Span:
    """Return the span of the column, index, option or default that the message names; else of the first column."""
    for begins, option in _OPTIONS.items():
        if begins in message and (word := source.engine.options.get(option)) is not None:
            return word.span
    lines = [(index.expression, index.span) for index in source.indexes]
    words = (*source.engine.options.values(), *(c.default for c in source.columns if c.default))
    lines += [(word.text, word.span) for word in words]
    for name in _QUOTED.findall(message):
        if (column := source.column(name)) is not None:
            return column.span
        if (span := next((span for text, span in lines if name in _WORD.findall(text)), None)) is not None:
            return span
    typed = next((column for column in source.columns if column.type in message), None)
    named = typed or next(iter(source.columns), None)
    return named.span if named else source.span


def character(text: str, byte: int) -> int:
    """Return the character offset of a byte offset in the UTF-8 of `text`."""
    return len(text.encode()[:byte].decode(errors="ignore"))
