"""Extracts the texts of all columns while parsing a line once. Rules: docs/ingestion.md.

A line is parsed into a tuple shaped like the paths: `JSONExtract(line, 'Tuple(a Nullable(String), …)')`. Keys that
ClickHouse's tuples cannot name, and paths into a value that another column takes whole, need a call of their own.

This gets two things wrong, so we check the line's text for them and correct them: a tuple also accepts a list and takes
its elements by position, which a path into an object must not do; and numbers pass through Float64, which has fewer
digits than a Decimal, or a time with microseconds or less.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from clickpipe.columns import base, takes_json
from clickpipe.ingest.flat_nested import with_flat
from clickpipe.ingest.jsonpath import json_at, keys_of, text_at
from clickpipe.ingest.messages import WHOLE_MESSAGE
from clickpipe.project import Column, DataSource, Each, Key, Step, is_kafka, is_of_message, parse_jsonpath
from clickpipe.sql import quote_identifier, quote_literal

_NAME = re.compile(r"^(?!null$)[A-Za-z_][\w$-]*$", re.ASCII | re.IGNORECASE)
_TUPLE = "__t"
_MORE_THAN_FLOAT = re.compile(r"\b(?:Decimal|(?:DateTime64|Time64)\(\s*[6-9])")
_WIDE = re.compile(r"U?Int(?:64|128|256)$")
_FLOAT_DIGITS = 16  # whole numbers with this many digits may have passed through Float64 and changed
_TIME = re.compile(r"Date(?:32|Time(?:64)?)?(?:\(|$)")
_NULL = "CAST(NULL, 'Nullable(String)')"

_Path = tuple[str, ...]


# A number with more digits than Float64 holds, except whole numbers, which are read exactly.
_MANY_DIGITS = (r"[.][0-9]{13}", r"[0-9]{4}[.][0-9]{9}", r"[0-9]{8}[.][0-9]{5}", r"[0-9]{12}[.][0-9]", r"[0-9]{20}")
_TOKENS = r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+|-'
_EXACT, _LISTS = "__exact", "__lists"


@dataclass(frozen=True, slots=True)
class Texts:
    """SQL for each column's text (Nullable(String)) in a line.

    `parsed` says which texts prove that the line is JSON; `numbers` are conditions for texts that were JSON numbers.
    """

    columns: tuple[str, ...]
    parsed: tuple[bool, ...]
    numbers: tuple[str, ...]
    tuple_type: str
    checks: tuple[str, ...] = ()

    def read(self, lines: str) -> str:
        """Return the SELECT over `lines` (import_id, document) that provides `import_id`, `line` and `__t`.

        It trims lines and skips blank ones. It is a single SELECT because planning dominates small inserts.
        """
        extracted = f", JSONExtract(line, '{self.tuple_type}') AS {_TUPLE}" if self.tuple_type else ""
        more = "".join(f", {check}" for check in self.checks)
        return (
            f"SELECT import_id, trim(BOTH ' \\t' FROM document) AS line{extracted}{more} FROM {lines} "
            "WHERE notEmpty(line)"
        )


def needs_digits(type_: str) -> bool:
    """Return whether values of a type have more digits than Float64, at any depth."""
    return _MORE_THAN_FLOAT.search(type_) is not None


def with_digits(json: str, otherwise: str) -> str:
    """Return SQL for a JSON text with its numbers quoted if Float64 would truncate one, else `otherwise`."""
    patterns = ", ".join(quote_literal(pattern) for pattern in _MANY_DIGITS)
    return f"if(multiMatchAny({json}, [{patterns}]), {_quoted(json)}, {otherwise})"


def _quoted(line: str) -> str:
    """Return SQL for a line with its numbers quoted."""
    tokens = f"extractAll({line}, {quote_literal(_TOKENS)})"
    return f"arrayStringConcat(arrayMap(t -> if(match(t, '^-?[0-9]'), concat('\"', t, '\"'), t), {tokens}))"


def _list_check(parents: Collection[_Path]) -> str:
    """Return a SQL condition: in this line, some object on a path may be a list."""
    keys = sorted({re.escape(keys[-1]) for keys in parents})
    patterns = (rf'"(?:{"|".join(keys)})"\s*:\s*\[', r"\\u00")  # or the key is written with escapes
    return f"multiMatchAny(line, [{', '.join(map(quote_literal, patterns))}]) AS {_LISTS}"


@dataclass(slots=True)
class _Branch:
    """Keys of an object, in order of first appearance; None stands for a value."""

    keys: dict[str, _Branch | None] = field(default_factory=dict)


def texts_of(source: DataSource) -> Texts:
    """Return the texts of a data source's columns, in order."""
    paths = [steps_of(source, number) for number in range(len(source.columns))]
    wholes = {keys for steps in paths if steps and (keys := _leading(steps)) and all(map(_NAME.match, keys))}
    shortest = {keys for keys in wholes if not any(keys[:n] in wholes for n in range(1, len(keys)))}
    root = _Branch()
    for keys in sorted(shortest, key=lambda keys: _first(paths, keys)):
        _add(root, keys)
    places = {keys: _place(root, keys) for keys in shortest}
    texts = [_column(column, steps, places) for column, steps in zip(source.columns, paths, strict=True)]
    if is_kafka(source.connector):
        texts = [WHOLE_MESSAGE if steps == () else text for text, steps in zip(texts, paths, strict=True)]
    parents = {keys[:-1] for keys in shortest if len(keys) > 1}
    checks = [_list_check(parents)] if parents else []
    if any(needs_digits(column.type) for column in source.columns):
        checks.append(f"{with_digits('line', quote_literal(''))} AS {_EXACT}")
    numbers = [_is_number(column, steps) for column, steps in zip(source.columns, paths, strict=True)]
    proves = tuple(bool(steps) for steps in paths)
    return Texts(tuple(texts), proves, tuple(numbers), _type(root) if root.keys else "", tuple(checks))


def _column(column: Column, steps: tuple[Step, ...] | None, places: Mapping[_Path, str]) -> str:
    """Return SQL for a column's text."""
    if steps and takes_json(column.type):
        return with_flat(json_at("line", steps), "line", column, steps)
    text = with_flat(_text(steps, places), "line", column, steps)
    if steps and needs_digits(column.type):
        return f"if({_EXACT} = '', {text}, {with_flat(text_at(_EXACT, steps), _EXACT, column, steps)})"
    if steps and _WIDE.match(base(column.type)):
        altered = f"length({text}) >= {_FLOAT_DIGITS} AND position(line, assumeNotNull({text})) = 0"
        return f"if({altered}, {text_at(_quoted('line'), steps)}, {text})"
    return text


def _is_number(column: Column, steps: tuple[Step, ...] | None) -> str:
    """Return a SQL condition: a time column's text was a JSON number."""
    if not steps or not _TIME.match(base(column.type)) or not all(isinstance(step, Key) for step in steps):
        return "0"
    return f"JSONType(line, {keys_of(steps)}) != 'String'"


def steps_of(source: DataSource, number: int) -> tuple[Step, ...] | None:
    """Return a column's path; None if it takes nothing, because only other columns have paths."""
    column = source.columns[number]
    if column.jsonpath is not None:
        return parse_jsonpath(column.jsonpath)
    if is_of_message(source, column):
        return (Key(column.name),)
    return None if any(c.jsonpath is not None for c in source.columns) else (Key(column.name),)


def _leading(steps: tuple[Step, ...]) -> _Path:
    """Return the keys before the first `[:]`."""
    keys: list[str] = []
    for step in steps:
        if isinstance(step, Each):
            break
        keys.append(step.name)
    return tuple(keys)


def _first(paths: Sequence[tuple[Step, ...] | None], keys: _Path) -> int:
    return next(n for n, steps in enumerate(paths) if steps and _leading(steps)[: len(keys)] == keys)


def _add(root: _Branch, keys: _Path) -> None:
    branch = root
    for key in keys[:-1]:
        inner = branch.keys.setdefault(key, _Branch())
        assert inner is not None  # noqa: S101 - no path passes through the end of another
        branch = inner
    branch.keys[keys[-1]] = None


def _place(root: _Branch, keys: _Path) -> str:
    """Return SQL for the value at a path of the tuple."""
    sql, branch = _TUPLE, root
    for key in keys:
        sql = f"tupleElement({sql}, {list(branch.keys).index(key) + 1})"
        branch = branch.keys[key] or branch
    return sql


def _type(branch: _Branch) -> str:
    types = {key: "Nullable(String)" if inner is None else _type(inner) for key, inner in branch.keys.items()}
    parts = [f"{quote_identifier(key)} {type_}" for key, type_ in types.items()]
    return f"Tuple({', '.join(parts)})"


def _text(steps: tuple[Step, ...] | None, places: Mapping[_Path, str]) -> str:
    if steps is None:
        return _NULL
    keys = _leading(steps)
    for length in range(1, len(keys) + 1):
        if (found := places.get(keys[:length])) is not None:
            rest = steps[length:]
            if length > 1:
                parent = ", ".join(map(quote_literal, keys[: length - 1]))
                found = f"if({_LISTS} AND JSONType(line, {parent}) != 'Object', NULL, {found})"
            return found if all(isinstance(step, Each) for step in rest) else text_at(found, rest)
    return text_at("line", steps)
