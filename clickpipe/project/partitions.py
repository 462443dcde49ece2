"""Warns of partition keys with very many partitions: each has its own files, and is merged separately."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clickpipe.diagnostics import Diagnostic, Severity
from clickpipe.project.model import Column, TableEngine

# Partitions per year by functions of a time; one per day, 365, is fine.
_A_YEAR = {
    "tostartofhour": 8_760,
    "tostartoffifteenminutes": 35_040,
    "tostartoftenminutes": 52_560,
    "tostartoffiveminutes": 105_120,
    "tostartoffiveminute": 105_120,
    "tostartofminute": 525_600,
    "tostartofsecond": 31_536_000,
    "toyyyymmddhhmmss": 31_536_000,
    "tounixtimestamp": 31_536_000,
    "todatetime": 31_536_000,
    "todatetime64": 31_536_000,
}
_HASHES = frozenset({"cityhash64", "siphash64", "xxhash64", "xxhash32", "farmhash64", "md5", "halfmd5", "sha256"})
_CALL = re.compile(r"(\w+)\s*\((.*)\)", re.DOTALL)
_WRAPPER = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)")
_HINT = (
    "each partition has its own files and merges: with thousands of them, inserts and starts are slow; "
    "partition by toYYYYMM(...) or toDate(...) of a time, and put the rest into ENGINE_SORTING_KEY"
)


def check_partition_key(engine: TableEngine, columns: Mapping[str, Column]) -> Iterator[Diagnostic]:
    """Yield a warning for each part of the key that creates a partition per value or moment, with their number."""
    word = engine.options.get("PARTITION_KEY")
    if word is None:
        return
    for part in _parts(word.text):
        if count := _number(part.strip().strip("`"), columns):
            message = f"ENGINE_PARTITION_KEY creates very many partitions: '{part.strip()}' creates {count}"
            yield Diagnostic("CP1207", message, word.span, Severity.WARNING, _HINT)


def _parts(key: str) -> list[str]:
    """Split a key into its expressions, without the enclosing brackets."""
    found, depth, start = [], 0, 0
    text = key.strip()
    if (match := _CALL.fullmatch(f"tuple{text}" if text.startswith("(") else text)) and match[1] == "tuple":
        text = match[2]
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append(text[start:at])
            start = at + 1
    return [*found, text[start:]]


def _number(part: str, columns: Mapping[str, Column]) -> str:
    """Return how many partitions a part of a key creates, in words; '' if few or unknown."""
    if (column := columns.get(part)) is not None:
        type_ = column.type
        while wrapped := _WRAPPER.fullmatch(type_):
            type_ = wrapped[1]
        if type_.startswith("DateTime"):
            return "one per moment: up to 31,536,000 a year"
        if type_.startswith(("UUID", "Float", "Decimal", "IPv6")):
            return f"one per value of a {type_.split('(')[0]}"
        return ""
    call = _CALL.fullmatch(part)
    if call is None or _closes_early(call[2]):
        return ""
    name = call[1].lower()
    if name in _HASHES:
        return "one per value"
    return f"{_A_YEAR[name]:,} a year" if name in _A_YEAR else ""


def _closes_early(arguments: str) -> bool:
    """Return whether the bracket of a call closes before the end: `f(a) % 10 + g(b)`."""
    depth = 0
    for letter in arguments:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return True
    return False
