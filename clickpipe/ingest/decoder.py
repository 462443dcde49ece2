"""Recognizes lines that certainly fit a data source without asking ClickHouse, to acknowledge them once logged.

A decoder is built once per data source from its columns' types and jsonpaths. It accepts only common forms of values,
of which it is sure; ClickHouse checks all other lines. That ClickHouse agrees, and stores the same values, is tested
type by type (tests/ingest/test_decoder.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import astuple

from clickpipe.columns import holder, plain
from clickpipe.ingest.extract import steps_of, texts_of
from clickpipe.ingest.fields import Field, fields_of
from clickpipe.ingest.forms import ANYTHING, exact_form, fitting_form
from clickpipe.ingest.messages import REFUSED
from clickpipe.project import DataSource, Each, Key, Step
from clickpipe.sql import quote_identifier

_LONGEST = 100_000  # bytes of lines: above that, ClickHouse is faster
_NAME = re.compile(r"[\w -]+", re.ASCII)
_ESCAPED = rb"\u00"  # an escaped character, which a key may contain
_ROWS = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder(dict[str, ANYTHING])

_UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

_Decoder = msgspec.json.Decoder[Any]
_Row = Callable[[Any], tuple[Any, ...]]
_Branch = dict[str, "Field | _Branch"]
_Form = Callable[[Field], tuple[Any, bool] | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """Lines that fit: the number of rows, and their values, one JSON array per line.

    `values` is None if some values are not literally in the line; then ClickHouse has to parse the lines. `columns` are
    the quoted names of the columns that have values.
    """

    rows: int
    values: bytes | None
    columns: str


@dataclass(frozen=True, slots=True)
class Exact:
    """Reads values that are stored exactly as they are in the line."""

    _known: _Decoder  # for lines with no other keys than the columns'
    _more: _Decoder  # for lines with other keys
    _row: _Row
    _keys: tuple[bytes, ...]
    _flat: bool  # no column's path is nested

    def values(self, line: bytes) -> tuple[Any, ...] | None:
        """Return a line's row; None if a value is not stored exactly as it is in the line."""
        try:
            found = self._row(self._known.decode(line))
            if self._flat and _most_keys(line) == len(found) - found.count(None):
                return found
        except _UNREADABLE:  # another kind of value, or a key that is not a column's
            try:
                found = self._row(self._more.decode(line))
            except _UNREADABLE:
                return None
            if not _takes(_ANY, line):
                return None
        return None if self._may_repeat_a_key(line) else found

    def _may_repeat_a_key(self, line: bytes) -> bool:
        """Return whether a key may occur twice: ClickHouse takes its first value, msgspec its last."""
        return _ESCAPED in line or any(line.count(key) > 1 for key in self._keys)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Checks lines for one data source."""

    _columns: str
    _exact: Exact | None
    _fits: _Decoder

    def judge(self, lines: bytes) -> Judged | None:
        """Return the rows if every line certainly fits, else None: then ClickHouse has to check them."""
        if len(lines) > _LONGEST or REFUSED in lines:
            return None
        rows: list[tuple[Any, ...]] = []
        others = 0
        for line in lines.split(b"\n") if b"\n" in lines else (lines,):
            if self._exact is not None and (values := self._exact.values(line)) is not None:
                rows.append(values)
            elif _takes(self._fits, line) and _takes(_ANY, line):
                others += 1
            elif line.strip(b" \t"):
                return None
        return Judged(len(rows) + others, None if others else _ROWS.encode_lines(rows), self._columns)


def _most_keys(line: bytes) -> int:
    """Return the most keys that a line can have, counting quotes followed by a colon or white space.

    An escaped quote does not end a key.
    """
    ends = line.count(b'":') - line.count(b'\\":')
    return ends + line.count(b'" ') + line.count(b'"\t') + line.count(b'"\r')


def _takes(decoder: _Decoder, line: bytes) -> bool:
    try:
        decoder.decode(line)
    except _UNREADABLE:
        return False
    return True


def decoder_of(source: DataSource) -> Decoder | None:
    """Return the decoder of a data source; None if ClickHouse has to check all its lines."""
    root: _Branch = {}
    for number, field in enumerate(fields_of(source, texts_of(source), quoted=False)):
        steps = steps_of(source, number)
        if steps is None:
            if field.required:
                return None
        elif not _add(root, field, steps):
            return None
    fits = _struct(root, fitting_form, strict=False)
    if fits is None:
        return None
    columns = ", ".join(quote_identifier(field.column.name) for field in _leaves(root))
    return Decoder(columns, _exact_of(root), _decoder(fits[0]))


def _exact_of(root: _Branch) -> Exact | None:
    known, more = (_struct(root, exact_form, strict=strict) for strict in (True, False))
    keys = list(_keys(root))
    if known is None or more is None or len(set(keys)) < len(keys):
        return None
    names = tuple(f'"{key}"'.encode() for key in keys)
    return Exact(_decoder(known[0]), _decoder(more[0]), _row(root), names, _row(root) is astuple)


def _keys(branch: _Branch) -> Iterator[str]:
    for key, entry in branch.items():
        yield key
        if not isinstance(entry, Field):
            yield from _keys(entry)


def _decoder(type_: Any) -> _Decoder:
    return msgspec.json.Decoder(type_)


def _add(root: _Branch, field: Field, steps: tuple[Step, ...]) -> bool:
    """Insert a column at its path; return whether that is possible."""
    if steps and isinstance(steps[-1], Each) and holder(plain(field.column.type)) is not None:
        steps = steps[:-1]
    names = [step.name for step in steps if isinstance(step, Key)]
    if not names or len(names) < len(steps) or not all(map(_NAME.fullmatch, names)):
        return False
    branch = root
    for name in names[:-1]:
        inner = branch.setdefault(name, {})
        if isinstance(inner, Field):
            return False
        branch = inner
    if names[-1] in branch:
        return False
    branch[names[-1]] = field
    return True


def _leaves(branch: _Branch) -> Iterator[Field]:
    for entry in branch.values():
        if isinstance(entry, Field):
            yield entry
        else:
            yield from _leaves(entry)


def _struct(branch: _Branch, form: _Form, *, strict: bool) -> tuple[Any, bool] | None:
    """Return a type for objects with these keys (`strict`: no others), and whether the object is required.

    Returns None if some required column has no form that certainly fits.
    """
    fields: list[Any] = []
    for number, entry in enumerate(branch.values()):
        found = form(entry) if isinstance(entry, Field) else _struct(entry, form, strict=strict)
        if found is None:
            return None
        type_, required = found
        fields.append(
            (f"f{number}", type_) if required else (f"f{number}", None if type_ is None else type_ | None, None)
        )
    struct = msgspec.defstruct(
        "Line",
        fields,
        rename={f"f{number}": key for number, key in enumerate(branch)},
        forbid_unknown_fields=strict,
        kw_only=True,
        gc=False,
    )
    return struct, any(len(field) == 2 for field in fields)  # noqa: PLR2004 - those without a default


def _row(branch: _Branch) -> _Row:
    """Return a function that returns the values of an object's leaves, in order."""
    entries = branch.values()
    inner = [None if isinstance(entry, Field) else (_row(entry), len(list(_leaves(entry)))) for entry in entries]
    if not any(inner):
        return astuple

    def values(line: Any) -> tuple[Any, ...]:
        found: list[Any] = []
        for value, deeper in zip(astuple(line), inner, strict=True):
            if deeper is None:
                found.append(value)
            else:
                row, count = deeper
                found += (None,) * count if value is None else row(value)
        return tuple(found)

    return values
