"""The texts of all columns from one reading of a line. Rules: docs/ingestion.md.

A line is parsed once, to a tuple in the shape of the paths: `JSONExtract(line, 'Tuple(a Nullable(String), …)')`. What
ClickHouse's tuples cannot name, and paths into what another column takes whole, are read by a call of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clickpipe.ingest.jsonpath import text_at
from clickpipe.ingest.types import base
from clickpipe.project import DataSource, Each, Key, Step, parse_jsonpath
from clickpipe.sql import quote_literal

_NAME = re.compile(r"^[A-Za-z_][\w$-]*$", re.ASCII)
_TUPLE = "__t"
_NULL = "CAST(NULL, 'Nullable(String)')"

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """SQL for each column's text (Nullable(String)) of a line; `parsed` tells which texts prove it to be JSON."""

    columns: tuple[str, ...]
    parsed: tuple[bool, ...]
    tuple_type: str

    def read(self, lines: str) -> str:
        """Return the SELECT that `columns` are read from, of `lines` (import_id, document): `import_id`, `line`, `__t`.

        Lines have no blanks around them; blank ones are left out. One SELECT: planning it is most of a small insert.
        """
        extracted = f", JSONExtract(line, '{self.tuple_type}') AS {_TUPLE}" if self.tuple_type else ""
        return f"SELECT import_id, trim(BOTH ' \\t' FROM document) AS line{extracted} FROM {lines} WHERE notEmpty(line)"


def _exact(steps: tuple[Step, ...] | None, text: str) -> str:
    """Return SQL of a number's own digits: JSON readers keep 17 of them, a Decimal has more.

    The digits behind the key are taken when they are that number: a key of the same name elsewhere does no harm.
    """
    if not steps or not isinstance(steps[-1], Key):
        return text
    pattern = rf'"{re.escape(steps[-1].name)}"\s*:\s*(-?[0-9][0-9.eE+-]*)'
    same = f"ifNull(toFloat64OrNull(d) = toFloat64OrNull({text}), 0)"
    digits = f"arrayFirst(d -> {same}, extractAll(line, {quote_literal(pattern)}))"
    return f"if(isNull({text}) OR position(line, assumeNotNull({text})) > 0 OR {digits} = '', {text}, {digits})"


@dataclass(slots=True)
class _Branch:
    """Keys of an object, in the order they were met; None is a value."""

    keys: dict[str, _Branch | None] = field(default_factory=dict)


def texts_of(source: DataSource) -> Texts:
    """Return the texts of a data source's columns, in their order."""
    paths = [_steps(source, number) for number in range(len(source.columns))]
    wholes = {keys for steps in paths if steps and (keys := _leading(steps)) and all(map(_NAME.match, keys))}
    shortest = {keys for keys in wholes if not any(keys[:n] in wholes for n in range(1, len(keys)))}
    root = _Branch()
    for keys in sorted(shortest, key=lambda keys: _first(paths, keys)):
        _add(root, keys)
    places = {keys: _place(root, keys) for keys in shortest}
    texts = [_text(steps, places) for steps in paths]
    columns = tuple(
        _exact(steps, text) if base(column.type).startswith("Decimal") else text
        for column, steps, text in zip(source.columns, paths, texts, strict=True)
    )
    return Texts(columns, tuple(bool(steps) for steps in paths), _type(root) if root.keys else "")


def _steps(source: DataSource, number: int) -> tuple[Step, ...] | None:
    """Return a column's path; None where it takes nothing: it has no path, and others have."""
    column = source.columns[number]
    if column.jsonpath is not None:
        return parse_jsonpath(column.jsonpath)
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
        assert inner is not None  # noqa: S101 - no path leads through another's end
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
    parts = [f"`{key}` {'Nullable(String)' if inner is None else _type(inner)}" for key, inner in branch.keys.items()]
    return f"Tuple({', '.join(parts)})"


def _text(steps: tuple[Step, ...] | None, places: Mapping[_Path, str]) -> str:
    if steps is None:
        return _NULL
    keys = _leading(steps)
    for length in range(1, len(keys) + 1):
        if (found := places.get(keys[:length])) is not None:
            rest = steps[length:]
            return found if all(isinstance(step, Each) for step in rest) else text_at(found, rest)
    return text_at("line", steps)
