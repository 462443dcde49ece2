"""Compares rows as data: order matters as far as the query's ORDER BY determines it, numbers have a tolerance."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from difflib import unified_diff
from typing import Any

Row = dict[str, Any]


def ndjson_rows(text: str) -> list[Row] | None:
    """Return the rows of NDJSON; None if it is something else."""
    try:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def tsv_rows(text: str) -> list[Row] | None:
    """Return the rows of TSV without a header; columns are numbered from 1."""
    lines = [line.split("\t") for line in text.rstrip("\n").split("\n")] if text.strip() else []
    return [{str(number): _cell(value) for number, value in enumerate(line, 1)} for line in lines]


def csv_rows(text: str) -> list[Row]:
    """Return the rows of CSV with a header."""
    return [{name: _cell(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def _cell(text: str) -> Any:
    try:
        return json.loads(text) if text[:1] in "-0123456789" and text else text
    except ValueError:
        return text


def difference(
    expected: Sequence[Row], found: Sequence[Row], keys: Sequence[str | int] | None, tolerance: float = 0.0
) -> str:
    """Return '' for equal rows, else the differences as lines with - and +.

    `keys` are the columns (or their numbers from 1) that the query orders by; None: the whole order matters.
    """
    places = _matches(expected, found, tolerance)
    matched = [place for place in places if place is not None]
    if len(matched) < len(expected) or len(expected) < len(found):
        taken = set(matched)
        rest = iter([row for place, row in enumerate(found) if place not in taken])
        aligned = [row if place is not None else next(rest, None) for row, place in zip(expected, places, strict=True)]
        return _lines(expected, [row for row in [*aligned, *rest] if row is not None])
    ordered = [_order(row, keys) for row in expected], [_order(row, keys) for row in found]
    if all(same(a, b, tolerance) for a, b in zip(*ordered, strict=True)):
        return ""
    return f"the rows are the same, but in another order\n{_lines(expected, found)}"


def _order(row: Row, keys: Sequence[str | int] | None) -> list[Any]:
    """Return the values that determine a row's position, as far as the row contains them."""
    if keys is None:
        return [row]
    values, found = list(row.values()), []
    for key in keys:
        if isinstance(key, int):
            if not 0 < key <= len(values):
                break
            found.append(values[key - 1])
        elif key in row:
            found.append(row[key])
        else:
            break
    return found


def _matches(expected: Sequence[Row], found: Sequence[Row], tolerance: float) -> list[int | None]:
    """Return the position of an equal row for each expected one, using each position once."""
    if not tolerance:
        places: dict[str, list[int]] = {}
        for place, row in enumerate(found):
            places.setdefault(_canonical(row), []).append(place)
        for equal in places.values():
            equal.reverse()
        return [equal.pop() if (equal := places.get(_canonical(row), [])) else None for row in expected]
    left = dict(enumerate(found))
    taken: list[int | None] = []
    for row in expected:
        match = next((place for place, other in left.items() if same(row, other, tolerance)), None)
        taken.append(match)
        if match is not None:
            del left[match]
    return taken


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Return whether two JSON values are equal: 1 and 1.0 are, and numbers within the relative `tolerance`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b, tolerance) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or bool(tolerance and math.isclose(one, other, rel_tol=tolerance, abs_tol=0.0))
    return bool(one == other)


def _canonical(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lines(expected: Sequence[Row], found: Sequence[Row]) -> str:
    return text_difference(
        *("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) for rows in (expected, found))
    )


def text_difference(expected: str, found: str) -> str:
    """Return '' for equal texts, else the lines that differ."""
    return "\n".join(unified_diff(expected.splitlines(), found.splitlines(), "expected", "got", lineterm="", n=1))
