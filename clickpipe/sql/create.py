"""Checks that ClickHouse reads a data source's CREATE TABLE as intended.

Defaults, keys and settings are the author's text. None of it may escape its place (`unclosed`), and the table, columns,
engine and clauses in ClickHouse's tree are compared with what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickpipe.sql.allowed import CODECS
from clickpipe.sql.guard import Refusal, check_settings, judge_part, nodes
from clickpipe.sql.lexer import Kind, tokens
from clickpipe.sql.slow import refuse_slow
from clickpipe.sql.tree import read_tree

_CLOSING = {")": "(", "]": "[", "}": "{"}
_FALSE: tuple[Any, ...] = (None, False, "", [], {})
# Keys that a column, an index and the statement may have in ClickHouse's tree.
_COLUMN_KEYS = frozenset({"type", "name", "data_type"})
_INDEX_KEYS = frozenset({"type", "name", "granularity", "expression", "index_type"})
_CREATE_KEYS = frozenset({"type", "database", "table", "database_ast", "table_ast", "columns_list", "storage"})
# Sizes in types of indexes, by position of the argument, with their maximum.
_LARGEST = {
    "ngrambf_v1": {1: 1 << 24, 2: 64},  # bytes of a filter, functions
    "tokenbf_v1": {0: 1 << 24, 1: 64},
    "vector_similarity": {2: 1 << 16, 4: 1 << 10, 5: 1 << 16},  # dimensions, neighbours, candidates
}
_PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")
_CLAUSES = {
    "PARTITION_KEY": "partition_by",
    "SORTING_KEY": "order_by",
    "PRIMARY_KEY": "primary_key",
    "SAMPLING_KEY": "sample_by",
    "TTL": "ttl_table",
    "SETTINGS": "settings",
}


@dataclass(frozen=True, slots=True)
class MeantColumn:
    """A column as it was asked for."""

    name: str
    default: bool = False
    codec: bool = False


@dataclass(frozen=True, slots=True)
class MeantTable:
    """A table as it was asked for; `texts` are the author's texts in it, by their names in messages.

    `clauses` are the names of its ENGINE_* options, `indexes` are (name, granularity).
    """

    columns: Sequence[MeantColumn]
    engine: str
    clauses: frozenset[str]
    indexes: Sequence[tuple[str, int]] = ()
    texts: Mapping[str, str] | None = None


def check_create(tree: str, meant: MeantTable) -> Refusal | None:
    """Check the syntax tree of a CREATE TABLE; return None if it matches `meant`.

    Its defaults, keys, indexes and TTLs run during inserts and merges, so they may only call functions that a SELECT
    may call.
    """
    for what, text in (meant.texts or {}).items():
        if (reason := unclosed(text)) is not None:
            return Refusal(f"{what} has {reason}.", text)
    root = read_tree(tree)
    if root["type"] != "CreateQuery" or _keys(root) - _CREATE_KEYS:
        return Refusal("A data source's definition can only be a table with columns and an engine.")
    columns = root.get("columns_list", {})
    storage = root.get("storage", {})
    found = [
        *_columns(columns, meant),
        *_indexes(columns, meant),
        *_engine(storage, meant),
        *_computed(columns, storage),
    ]
    return next(iter(found), None)


def unclosed(text: str) -> str | None:
    """Return why a text could affect what follows it (a comment, an open quote or bracket), or None."""
    opened: list[str] = []
    at = 0
    last = ""
    for token in tokens(f"{text}\n;"):
        if text[at : token.start].strip():
            return "a comment in it"
        at, last = token.end, token.value
        if token.kind in {Kind.WORD, Kind.TEXT} and "$" in text[token.start : token.start + 1]:
            return "a '$' in it"
        if token.kind is not Kind.MARK:
            continue
        if last == ";" and token.start < len(text):
            return "a ';' in it"
        if last in "([{":
            opened.append(last)
        elif last in _CLOSING and (not opened or opened.pop() != _CLOSING[last]):
            return f"a '{last}' too many"
    if last != ";":
        return "a quote or comment that is not closed"
    return f"a '{opened[-1]}' that is not closed" if opened else None


def _keys(node: Mapping[str, Any]) -> set[str]:
    return {key for key, value in node.items() if value not in _FALSE}


def _children(node: Mapping[str, Any], key: str) -> list[Any]:
    found: list[Any] = node.get(key, {}).get("children", [])
    return found


def _columns(listed: Mapping[str, Any], meant: MeantTable) -> Iterator[Refusal]:
    if _keys(listed) - {"type", "columns", "indices"}:
        yield Refusal("A data source's schema can only have columns and indexes.")
    found = _children(listed, "columns")
    if [column.get("name") for column in found] != [column.name for column in meant.columns]:
        yield Refusal("The columns that ClickHouse reads differ from those in the schema.")
        return
    for column, wanted in zip(found, meant.columns, strict=True):
        allowed = _COLUMN_KEYS
        allowed |= {"default_specifier", "default_expression"} if wanted.default else set()
        allowed |= {"codec"} if wanted.codec else set()
        if _keys(column) - allowed or column.get("default_specifier", "DEFAULT") != "DEFAULT":
            yield Refusal(f"The column '{wanted.name}' can only have a type, a DEFAULT and a CODEC.", wanted.name)


def _indexes(listed: Mapping[str, Any], meant: MeantTable) -> Iterator[Refusal]:
    found = _children(listed, "indices")
    if len(found) != len(meant.indexes) or not all(map(_is_meant, found, meant.indexes)):
        yield Refusal("The indexes that ClickHouse reads differ from those in the file.")
    for index in found:
        if _keys(index) - _INDEX_KEYS:
            yield Refusal(f"The index '{index.get('name')}' can only have an expression and a type.")


def _is_meant(index: Mapping[str, Any], meant: tuple[str, int]) -> bool:
    """Return whether an index has this name and granularity; ClickHouse sets the granularity of text indexes itself."""
    name, granularity = meant
    is_text = index.get("index_type", {}).get("name") == "text"
    return index.get("name") == name and (is_text or index.get("granularity") == granularity)


def _engine(storage: Mapping[str, Any], meant: MeantTable) -> Iterator[Refusal]:
    if storage.get("engine", {}).get("name") != meant.engine:
        yield Refusal(f"The engine that ClickHouse reads is not {meant.engine}.", meant.engine)
    wanted = {_CLAUSES[name] for name in meant.clauses}
    if _keys(storage) - {"type", "engine"} != wanted:
        more = _keys(storage) - {"type", "engine"} - wanted
        said = ", ".join(sorted(name for name, key in _CLAUSES.items() if key in more)) or "further clauses"
        yield Refusal(f"The engine has {said}, which is not in any ENGINE_ line.")
    if (refusal := check_settings(storage.get("settings", {"type": ""}), "table_settings")) is not None:
        yield refusal
    for element in _children(storage, "ttl_table"):
        if element.get("mode") == "MOVE" or element.get("destination_name"):
            yield Refusal("ENGINE_TTL can delete, aggregate or recompress rows, but not move them.", "TO")


def _computed(listed: Mapping[str, Any], storage: Mapping[str, Any]) -> Iterator[Refusal]:
    """Check every expression computed with rows, anywhere in the tree: ClickHouse may run whatever it contains.

    Only the names of engines, codecs and index types are not functions; these are compared with lists.
    """
    named: set[int] = {id(storage.get("engine"))}
    for index in _children(listed, "indices"):
        type_ = index.get("index_type", {})
        named.add(id(type_))
        yield from _filters(type_)
    yield from refuse_slow(listed, makers=False)
    yield from refuse_slow(storage)
    for part in (listed, storage):
        for node in nodes(part):
            for codec in (node.get("codec"), node.get("recompression_codec")):
                found = [n for n in nodes(codec or {}) if n["type"] == "Function"]
                named |= {id(n) for n in found}
                yield from (Refusal(f"'{n['name']}' is not a codec.", n["name"]) for n in found if not _is_codec(n))
            if id(node) not in named and (refusal := judge_part(node)) is not None:
                yield refusal


def _is_codec(node: Mapping[str, Any]) -> bool:
    return str(node["name"]).lower() in CODECS


def _filters(type_: Mapping[str, Any]) -> Iterator[Refusal]:
    """Refuse indexes that take much memory per granule or row, even with few rows."""
    kind = str(type_.get("name", "")).lower()
    for at, most in _LARGEST.get(kind, {}).items():
        given = _children(type_, "arguments")[at : at + 1]
        value = given[0].get("value", {}).get("value") if given else 0
        if not isinstance(value, int | str) or not str(value).isdecimal() or int(value) > most:
            yield Refusal(f"The {_PLACES[at]} argument of {kind} can be at most {most}: memory is shared.", kind)


def is_view_of(tree: str, select: str) -> bool:
    """Return whether the tree of a CREATE is a materialized view into a table with exactly this SELECT's tree."""
    root = read_tree(tree)
    allowed = {"type", "database", "table", "database_ast", "table_ast", "is_materialized_view", "select", "targets"}
    own = {key: value for key, value in root.get("select", {}).items() if value not in _FALSE}
    wanted = {key: value for key, value in read_tree(select).items() if value not in _FALSE}
    return root["type"] == "CreateQuery" and not _keys(root) - allowed and own == wanted
