"""SQL for the texts of columns in CSV records: lists, maps and tuples as JSON, whichever way they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clickpipe.columns import base, holder, named_field, nested_fields, plain, spread, takes_json
from clickpipe.ingest.dialect import Layout
from clickpipe.ingest.extract import needs_digits, with_digits
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_literal

_BACKSLASH, _QUOTE = "\\", "'"
_ESCAPES = ((r"\'", "'"), ("''", "'"), (r"\n", "\n"), (r"\t", "\t"), (r"\r", "\r"), (r"\b", "\b"), (r"\f", "\f"))
_BARE = ((r"([{,]\s*)(-?[0-9.]+)\s*:", r'\1"\2":'), (r"-?\b(?:nan|inf)\b", r'"\0"'))
_TOKENS = r"'(?:[^'\\]|\\.|'')*'|[^']+"


@dataclass(frozen=True, slots=True)
class CsvTexts:
    """SQL for each column's text in CSV records, as `Texts` holds it for lines of JSON."""

    texts: tuple[str, ...]
    parsed: tuple[bool, ...]
    numbers: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the texts in what `read` returns."""
        return tuple(f"t{number}" for number in range(len(self.texts)))

    def read(self, lines: str) -> str:
        """Return the SELECT that provides `columns`.

        The texts have names of their own there: ClickHouse repeats an alias wherever it is used, and tuples within
        tuples use a text so often that the statement would be too long.
        """
        named = [f"{text} AS {name}" for text, name in zip(self.texts, self.columns, strict=True)]
        return f"SELECT {', '.join(['import_id', 'line', *named])} FROM {lines}"


def csv_texts(source: DataSource, layout: Layout) -> CsvTexts:
    r"""Return the texts of a data source's columns.

    An empty field means no value, except for text columns; \N always does.
    """
    texts = [_text(column, layout) for column in source.columns]
    return CsvTexts(tuple(texts), (False,) * len(texts))


def _text(column: Column, layout: Layout) -> str:
    if column.name in layout.fields:
        return _value(column.type, column.name, layout)
    leaves = spread(column.type)
    if not leaves or f"{column.name}.{leaves[0][0]}" not in layout.fields:
        return "CAST(NULL, 'Nullable(String)')"
    return _zipped(column, layout) if nested_fields(column.type) else _list(column.type, column.name, layout)


def _list(type_: str, path: str, layout: Layout) -> str:
    """Return SQL that puts a tuple together from its fields, as a JSON list; any other value is JSON, too."""
    if spread(type_):
        _, arguments = holder(plain(type_)) or ("", [])
        named = [(name or str(number), kind) for number, (name, kind) in enumerate(map(named_field, arguments), 1)]
        return _in_brackets([_list(kind, f"{path}.{name}", layout) for name, kind in named])
    text = _value(type_, path, layout)
    if holder(plain(type_)):
        return f"ifNull({text}, 'null')"
    quoted = f"toJSONString(assumeNotNull({text}))"
    if takes_json(type_):
        quoted = f"if(isValidJSON(assumeNotNull({text})), assumeNotNull({text}), {quoted})"
    return f"if(isNull({text}), 'null', {quoted})"


def _zipped(column: Column, layout: Layout) -> str:
    """Return SQL that puts a Nested together from the lists of its fields, as a JSON list of lists."""
    lists = [
        f"JSONExtractArrayRaw(ifNull({_value(kind, f'{column.name}.{name}', layout)}, '[]'))"
        for name, kind in spread(column.type)
    ]
    first, *others = lists
    items = ", ".join([first, *(f"arrayResize({other}, length({first}), 'null')" for other in others)])
    names = [f"x{number}" for number in range(len(lists))]
    row = _in_brackets(names)
    rows = f"arrayStringConcat(arrayMap(({', '.join(names)}) -> {row}, {items}), ',')"
    same = " AND ".join(f"length({other}) = length({first})" for other in others) or "1"
    return f"if({same}, concat('[', {rows}, ']'), 'lists of different lengths')"


def _in_brackets(parts: Sequence[str]) -> str:
    items = ", ',', ".join(parts)
    return f"concat('[', {items}, ']')"


def _value(type_: str, name: str, layout: Layout) -> str:
    field = f"f{layout.fields.index(name) + 1}"
    own = plain(type_)
    if base(type_).startswith(("String", "FixedString")):
        return f"nullIf({field}, '\\\\N')"
    text = f"nullIf(nullIf(trim(BOTH ' \\t' FROM {field}), ''), '\\\\N')"
    is_json = f"isNull({text}) OR isValidJSON(assumeNotNull({text}))"
    if not holder(own):
        return text
    json = f"if({is_json}, {text}, {_as_json(text)})"
    return with_digits(f"ifNull({json}, '')", json) if needs_digits(type_) else json


def _as_json(text: str) -> str:
    """Return SQL that converts ClickHouse's notation for lists, tuples and maps, as in CSV, to JSON."""
    inside = "p"
    for written, meant in _ESCAPES:
        inside = f"replaceAll({inside}, {quote_literal(written)}, {quote_literal(meant)})"
    parts = f"splitByString({quote_literal(2 * _BACKSLASH)}, substring(t, 2, length(t) - 2))"
    quoted = f"toJSONString(arrayStringConcat(arrayMap(p -> {inside}, {parts}), {quote_literal(_BACKSLASH)}))"
    bare = "replaceAll(translate(t, '()', '[]'), 'NULL', 'null')"
    for pattern, written in _BARE:
        bare = f"replaceRegexpAll({bare}, {quote_literal(pattern)}, {quote_literal(written)})"
    tokens = f"extractAll(ifNull({text}, ''), {quote_literal(_TOKENS)})"
    return f"arrayStringConcat(arrayMap(t -> if(startsWith(t, {quote_literal(_QUOTE)}), {quoted}, {bare}), {tokens}))"
