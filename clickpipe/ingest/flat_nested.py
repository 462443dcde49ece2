"""A Nested in JSON by the keys of its fields, as endpoints write it: `{"v.a": [1, 2], "v.b": [3, 4]}`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from clickpipe.columns import nested_fields
from clickpipe.project import Column, Key, Step
from clickpipe.sql import quote_literal


def flat_keys(column: Column, steps: Sequence[Step] | None) -> list[str]:
    """Return the keys that hold the fields of a Nested at a path; [] for other types and paths."""
    if not steps or len(steps) > 1 or not isinstance(steps[0], Key):
        return []
    return [f"{steps[0].name}.{field}" for field in nested_fields(column.type)]


def has_flat(column: Column, steps: Sequence[Step] | None, keys: Collection[str]) -> bool:
    """Return whether some of these keys hold fields of a Nested."""
    return any(key in keys for key in flat_keys(column, steps))


def with_flat(text: str, document: str, column: Column, steps: Sequence[Step] | None) -> str:
    """Return SQL for a column's text: `text`, or if that is NULL, what the keys of a Nested hold in a document.

    Lists of different lengths, a field without a list, and a missing field give a text that does not fit.
    """
    keys = [quote_literal(key) for key in flat_keys(column, steps)]
    if not keys:
        return text
    first, *others = (f"JSONExtractArrayRaw({document}, {key})" for key in keys)
    items = ", ".join([first, *(f"arrayResize({other}, length({first}), 'null')" for other in others)])
    names = [f"x{number}" for number in range(len(keys))]
    inside = ", ',', ".join(names)
    row = f"concat('[', {inside}, ']')"
    rows = f"arrayStringConcat(arrayMap(({', '.join(names)}) -> {row}, {items}), ',')"
    absent = " AND ".join(f"JSONType({document}, {key}) = 'Null'" for key in keys)
    lists = " AND ".join(f"JSONType({document}, {key}) = 'Array'" for key in keys)
    same = "".join(f" AND length({other}) = length({first})" for other in others)
    flat = f"multiIf({absent}, NULL, {lists}{same}, concat('[', {rows}, ']'), 'lists of different lengths')"
    return f"if(isNull({text}), {flat}, {text})"
