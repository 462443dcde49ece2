"""Partition keys that make very many partitions: each is files of its own, and is merged on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clickpipe.diagnostics import Diagnostic, Severity
from clickpipe.project.model import Column, TableEngine

# How many partitions functions of a time make in a year; by day, 365, is fine.
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
    "each partition is files of its own, merged on their own: inserts and starts take long with thousands of them; "
    "write toYYYYMM(...) or toDate(...) of a time here, and put the rest into ENGINE_SORTING_KEY"
)


def check_partition_key(engine: TableEngine, columns: Mapping[str, Column]) -> Iterator[Diagnostic]:
    """Yield a warning, with the number, for each part of the key that makes a partition for each value or moment."""
    word = engine.options.get("PARTITION_KEY")
    if word is None:
        return
    for part in _parts(word.text):
        if told := _number(part.strip().strip("`"), columns):
            message = f"ENGINE_PARTITION_KEY makes very many partitions: '{part.strip()}' makes {told}"
            yield Diagnostic("CP1207", message, word.span, Severity.WARNING, _HINT)


def _parts(key: str) -> list[str]:
    """Return the expressions of a key, without the brackets around them."""
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
    """Return how many partitions a part of a key makes, '' for few or when it is not known."""
    if (column := columns.get(part)) is not None:
        type_ = column.type
        while wrapped := _WRAPPER.fullmatch(type_):
            type_ = wrapped[1]
        if type_.startswith("DateTime"):
            return "one for each moment: up to 31,536,000 a year"
        if type_.startswith(("UUID", "Float", "Decimal", "IPv6")):
            return f"one for each value of a {type_.split('(')[0]}"
        return ""
    call = _CALL.fullmatch(part)
    if call is None or _closes_early(call[2]):
        return ""
    name = call[1].lower()
    if name in _HASHES:
        return "one for each value"
    return f"{_A_YEAR[name]:,} a year" if name in _A_YEAR else ""


def _closes_early(arguments: str) -> bool:
    """Tell whether the bracket of a call ends before its text: `f(a) % 10 + g(b)`."""
    depth = 0
    for letter in arguments:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return True
    return False
