"""Derives a data source from a sample of a file: column names, jsonpaths and types, and a sorting key."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.body import BOM, lines_of
from clickpipe.ingest.dialect import NO_VALUE, Dialect, Names, guess_delimiter, records, whole_lines, without_separator
from clickpipe.ingest.infer import Seen

_DEEPEST = 3  # nesting depth up to which values become columns of their own; deeper objects are texts
_PLAIN_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_UNWRITABLE = re.compile(r"[`'\]\\\x00-\x1f]|^$")  # keys that a schema's jsonpaths cannot contain
_TIMES = re.compile(r"^(DateTime|Date)")
_MAIN_TIME = re.compile(r"^(timestamp|event_time|created_at|time|ts|date|day)$", re.IGNORECASE)
_LITERAL = frozenset({"null", "true", "false"})  # never column names in a header
_SORTED_BY = 2  # at most this many columns with few values at the start of a sorting key

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InferredColumn:
    """A column: name, jsonpath (or None), type, share of rows with a value, number of distinct values."""

    name: str
    path: str | None
    type: str
    present: float
    distinct: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result; `delimiter` and `header` are for CSV, `left_out` are keys that no jsonpath can name."""

    columns: tuple[InferredColumn, ...]
    rows: int
    delimiter: str | None = None
    header: bool = False
    left_out: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it in the shape of `POST /v0/analyze`."""
        schema = ", ".join(f"{c.name} {c.type}" + (f" `json:{c.path}`" if c.path else "") for c in self.columns)
        columns = [
            {
                "name": c.name,
                **({"path": c.path} if c.path else {}),
                "recommended_type": c.type,
                "present_pct": round(c.present, 4),
            }
            for c in self.columns
        ]
        found: dict[str, Any] = {"analysis": {"schema": schema, "columns": columns}}
        if self.delimiter:
            found["dialect"] = {"delimiter": self.delimiter, "has_header": self.header}
        return found


def analyze(sample: bytes, format_: str, *, cut: bool = False) -> Analysis:
    """Analyze a file, or with `cut` its beginning, cut off at any byte. `format_` is csv, ndjson or json.

    Raises ClickpipeError 400 if nothing in it can be read.
    """
    found = _csv(sample, cut=cut) if format_ == "csv" else _json(sample, whole=format_ == "json")
    if not found.columns:
        message = f"There is nothing in it that can be read as {format_}."
        raise ClickpipeError(message, code="cannot_analyze")
    return found


def analyze_columns(columns: Sequence[tuple[str, str]]) -> Analysis:
    """Analyze a file that states its columns (Parquet), given as (name, ClickHouse type)."""
    names = Names()
    found = [
        InferredColumn(names.of((name,)), _jsonpath((name,), array=type_.startswith("Array(")), type_, 1.0, 0)
        for name, type_ in columns
    ]
    return Analysis(tuple(found), 0)


@dataclass(slots=True)
class _Documents:
    """The values at each path of the documents, in order of first appearance."""

    paths: dict[_Path, None] = field(default_factory=dict)
    values: dict[_Path, Seen] = field(default_factory=dict)
    arrays: dict[_Path, Seen] = field(default_factory=dict)
    objects: set[_Path] = field(default_factory=set)
    rows: int = 0

    def add(self, document: dict[str, Any], path: _Path = ()) -> None:
        for key, value in document.items():
            here = (*path, key)
            self.paths[here] = None
            if isinstance(value, dict) and value and len(here) < _DEEPEST:
                self.objects.add(here)
                self.add(value, here)
            elif isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
                found = self.arrays.setdefault(here, Seen())
                found.values += 1
                for item in value:
                    if item is None:
                        found.nulls = True
                    else:
                        found.add(item)
            elif value is not None:
                self.values.setdefault(here, Seen()).add(value)

    def is_text(self, path: _Path) -> bool:
        """Return whether a path holds different kinds (object, array, value): then its column is a text."""
        return sum(path in kind for kind in (self.objects, self.values, self.arrays)) > 1

    def columns(self) -> Iterator[InferredColumn]:
        names = Names()
        for path in self.paths:
            unwritable = any(_UNWRITABLE.search(key) for key in path)
            if unwritable or any(self.is_text(path[:n]) for n in range(1, len(path))):
                continue
            if self.is_text(path):
                yield InferredColumn(names.of(path), _jsonpath(path, array=False), "Nullable(String)", 1.0, 0)
            elif path in self.arrays:
                name, found = names.of(path), self.arrays[path]
                type_ = found.plain_type(name) if found.kinds else "String"
                type_ = f"Array(Nullable({type_}))" if found.nulls else f"Array({type_})"
                yield InferredColumn(name, _jsonpath(path, array=True), type_, 1.0, len(found.distinct))
            elif path not in self.objects:
                name, found = names.of(path), self.values.get(path, Seen())
                found.rows = self.rows
                share = found.values / self.rows
                type_ = found.type(name)
                yield InferredColumn(name, _jsonpath(path, array=False), type_, share, len(found.distinct))


def _json(sample: bytes, *, whole: bool) -> Analysis:
    documents = _Documents()
    lines = lines_of(sample, json=whole).data.split(b"\n")
    for line in lines:
        try:
            document = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            continue
        if isinstance(document, dict):
            documents.rows += 1
            documents.add(document)
    left_out = tuple(".".join(path) for path in documents.paths if _UNWRITABLE.search(path[-1]))
    return Analysis(tuple(documents.columns()), documents.rows, left_out=left_out)


def _csv(sample: bytes, *, cut: bool) -> Analysis:
    data, separator = without_separator(sample.removeprefix(BOM))
    text = whole_lines(data.decode(errors="replace"), cut=cut)
    dialect = Dialect()
    delimiter = separator or guess_delimiter(text, dialect)
    try:
        rows = list(records(io.StringIO(text, newline=""), dialect, delimiter))
    except ClickpipeError:
        rows = []
    if not rows:
        return Analysis((), 0, delimiter)
    header = _is_header(rows)
    heads = rows[0] if header else [f"c{n}" for n in range(len(rows[0]))]
    seen = [Seen() for _ in heads]
    body = [row for row in (rows[1:] if header else rows) if len(row) == len(heads)]
    for row in body:
        for value, found in zip(row, seen, strict=True):
            found.rows += 1
            if value and value != NO_VALUE:
                found.add({"true": True, "false": False}.get(value.lower(), value), numbers=True)
    names = Names()
    columns = []
    for head, found in zip(heads, seen, strict=True):
        name = names.of((head,))
        share = found.values / found.rows if found.rows else 0.0
        columns.append(InferredColumn(name, None, found.type(name), share, len(found.distinct)))
    return Analysis(tuple(columns), len(body), delimiter, header)


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row has names: texts that start like names, or are above columns that are not texts.

    Some may be empty or repeated.
    """
    heads = [cell.strip() for cell in rows[0]]
    named = [cell for cell in heads if cell]
    kinds = _kinds(named)
    if kinds != {"text"} or any(cell.lower() in _LITERAL for cell in named):
        return False
    if all(cell[0].isalpha() or cell[0] == "_" for cell in named):
        return True
    columns = zip(*(row for row in rows[1:] if len(row) == len(heads)), strict=True)
    return any("text" not in (_kinds(column) or kinds) for head, column in zip(heads, columns, strict=False) if head)


def _kinds(cells: Iterable[str]) -> set[str]:
    """Return the kinds of values in fields, ignoring empty ones."""
    seen = Seen()
    for cell in cells:
        if cell and cell != NO_VALUE:
            seen.add({"true": True, "false": False}.get(cell.lower(), cell), numbers=True)
    return set(seen.kinds)


def _jsonpath(path: _Path, *, array: bool) -> str:
    keys = "".join(f".{key}" if _PLAIN_KEY.fullmatch(key) else f".['{key}']" for key in path)
    return f"${keys}{'[:]' if array else ''}"


def datasource_text(analysis: Analysis, description: str = "") -> str:
    """Return the text of a `.datasource` file for an analysis, formatted as by `clickpipe fmt`."""
    columns = ",\n".join(f"    `{c.name}` {c.type}" + (f" `json:{c.path}`" if c.path else "") for c in analysis.columns)
    time = _main_time(analysis)
    head = f"DESCRIPTION >\n    {description}\n\n" if description else ""
    partition = f'ENGINE_PARTITION_KEY "toYYYYMM({time})"\n' if time else ""
    return (
        f"{head}SCHEMA >\n{columns}\n\n"
        f'ENGINE "MergeTree"\n{partition}ENGINE_SORTING_KEY "{", ".join(_sorting_key(analysis, time)) or "tuple()"}"\n'
    )


def _main_time(analysis: Analysis) -> str:
    times = [c.name for c in analysis.columns if _TIMES.match(c.type)]
    return next((name for name in times if _MAIN_TIME.match(name)), times[0] if times else "")


def _sorting_key(analysis: Analysis, time: str) -> list[str]:
    """Return a sorting key: columns with few values, then an id that repeats, then the time."""
    plain = [c for c in analysis.columns if "Nullable(" not in c.type and not c.type.startswith(("Array(", "Map("))]
    few = sorted((c for c in plain if c.type.startswith(("LowCardinality(", "Bool"))), key=lambda c: c.distinct)
    key = [c.name for c in few if c.distinct > 1][:_SORTED_BY]
    repeated = [c.name for c in plain if c.name.endswith("_id") and 1 < c.distinct < analysis.rows * 0.9]
    ids = [name for name in repeated if name not in key]
    key += ids[:1]
    key += [time] if time else []
    return key or [c.name for c in plain if c.name == "id" or c.name.endswith("_id")][:1]
