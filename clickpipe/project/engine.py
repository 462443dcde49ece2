"""The engines of data sources: their arguments and keys, checked against the columns without ClickHouse.

To add an engine, add an entry to `ENGINES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clickpipe.datafile import Statement
from clickpipe.diagnostics import Diagnostic, Related, Severity, Span, Word, did_you_mean
from clickpipe.project.model import Column, TableEngine
from clickpipe.project.partitions import check_partition_key

_MERGE_TREE_KEYS = frozenset({"PARTITION_KEY", "SORTING_KEY", "PRIMARY_KEY", "SAMPLING_KEY", "TTL", "SETTINGS"})


@dataclass(frozen=True, slots=True)
class EngineRules:
    """An engine's required and optional `ENGINE_*` options, and whether it is a MergeTree."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    merge_tree: bool = True

    def allowed(self) -> frozenset[str]:
        """Return all options that the engine accepts."""
        return frozenset({*self.required, *self.optional}) | (_MERGE_TREE_KEYS if self.merge_tree else frozenset())


ENGINES: dict[str, EngineRules] = {
    "MergeTree": EngineRules(),
    "AggregatingMergeTree": EngineRules(),
    "SummingMergeTree": EngineRules(optional=("COLUMNS",)),
    "ReplacingMergeTree": EngineRules(("SORTING_KEY",), ("VER", "IS_DELETED")),
    "CollapsingMergeTree": EngineRules(("SIGN", "SORTING_KEY")),
    "VersionedCollapsingMergeTree": EngineRules(("SIGN", "VERSION")),
    "CoalescingMergeTree": EngineRules(optional=("COLUMNS",)),
    "Null": EngineRules(merge_tree=False),
    "Memory": EngineRules(optional=("SETTINGS",), merge_tree=False),
    "Join": EngineRules(("JOIN_STRICTNESS", "JOIN_TYPE", "KEY_COLUMNS"), ("SETTINGS",), merge_tree=False),
}
_COLUMN_OPTIONS = ("VER", "IS_DELETED", "SIGN", "VERSION", "COLUMNS", "KEY_COLUMNS")
_KEY_OPTIONS = ("PARTITION_KEY", "SORTING_KEY", "PRIMARY_KEY", "SAMPLING_KEY")
_IDENTIFIER = re.compile(r"'(?:[^'\\]|\\.)*'|`([^`]+)`|([A-Za-z_][\w.]*)(\s*\()?")
_KEYWORDS = {"tuple", "and", "or", "not", "interval", "div", "mod", "asc", "desc", "as", "is", "null", "in", "like"}
_PREFIX = re.compile(r"^(Replicated|Shared)(?=\w*MergeTree$)", re.IGNORECASE)


def build_engine(file: str, statements: Sequence[Statement]) -> tuple[TableEngine, list[Diagnostic]]:
    """Return the engine described by ENGINE and ENGINE_* statements (default: MergeTree), and diagnostics.

    `ReplicatedX` means X: replication is up to the server.
    """
    named = next((s.argument for s in statements if s.directive == "ENGINE"), None)
    options = {s.directive.removeprefix("ENGINE_"): s.argument for s in statements if s.directive.startswith("ENGINE_")}
    if named is None:
        return TableEngine(Word("MergeTree", Span(file, 0, 0)), options), []
    text = named.text.strip()
    bare = _PREFIX.sub("", text.removesuffix("()"))
    known = next((name for name in ENGINES if name.lower() == bare.lower()), bare)
    remarks = []
    if known == "ReplacingMergeTree" and "VERSION" in options:
        word = options.pop("VERSION")
        message = "ENGINE_VERSION has no effect for ReplacingMergeTree: the last inserted row is kept"
        hint = "write ENGINE_VER to keep the row with the highest version, or remove the line"
        remarks.append(Diagnostic("CP1011", message, word.span, Severity.WARNING, hint))
    return TableEngine(Word(known, named.span), options), remarks


def check_engine(engine: TableEngine, columns: Iterable[Column]) -> list[Diagnostic]:
    """Check an engine's name, options and keys against the columns; return diagnostics."""
    rules = ENGINES.get(engine.name.text)
    if rules is None:
        known = ", ".join(ENGINES)
        hint = did_you_mean(engine.name.text, ENGINES)
        message = f"Engine {engine.name.text} is not supported, supported engines include: {known}"
        return [Diagnostic("CP1201", message, engine.name.span, hint=hint)]
    diagnostics = []
    for option in sorted(rules.required):
        if not engine.option(option) or (option == "SORTING_KEY" and engine.option(option) == "tuple()"):
            message = f"{engine.name.text} needs ENGINE_{option}"
            diagnostics.append(Diagnostic("CP1202", message, engine.name.span, hint=f"add ENGINE_{option} <column>"))
    for option, word in engine.options.items():
        if option not in rules.allowed():
            message = f"{engine.name.text} does not take ENGINE_{option}"
            hint = "remove the line, or choose another engine"
            diagnostics.append(Diagnostic("CP1002", message, word.span, hint=hint))
    by_name = {c.name: c for c in columns}
    for option in (*_COLUMN_OPTIONS, *_KEY_OPTIONS):
        key = engine.options.get(option)
        if key is not None:
            diagnostics += _key(option, key, by_name)
    return [*diagnostics, *_version_in_key(engine), *check_partition_key(engine, by_name)]


def _key(option: str, word: Word, columns: Mapping[str, Column]) -> list[Diagnostic]:
    """Check the column names in a key expression."""
    diagnostics = []
    for match in _IDENTIFIER.finditer(word.text):
        name = match.group(1) or match.group(2)
        if name is None or match.group(3) or name.lower() in _KEYWORDS:
            continue
        column = columns.get(name)
        group = 1 if match.group(1) else 2
        span = word.span.sub(match.start(group), match.end(group))
        if column is None:
            if name.split(".")[0] in columns or any(c.startswith(f"{name}.") for c in columns):
                continue
            hint = did_you_mean(name, columns) or f"the columns are: {', '.join(columns)}"
            message = f"ENGINE_{option} names '{name}', which is not a column"
            diagnostics.append(Diagnostic("CP1203", message, span, hint=hint))
        elif option == "SORTING_KEY":
            diagnostics += _not_sortable(column, span)
    return diagnostics


def _not_sortable(column: Column, span: Span) -> list[Diagnostic]:
    related = (Related("the column is defined here", column.span),)
    if column.nullable:
        message = f"Sorting key contains nullable column '{column.name}'"
        hint = "remove Nullable(...) from the column's type (give it a DEFAULT), or leave it out of the key"
        return [Diagnostic("CP1204", message, span, related=related, hint=hint)]
    if column.type.startswith("AggregateFunction("):
        message = f"Sorting key contains the aggregate state '{column.name}'"
        hint = "leave it out of the key: states of the rows with equal keys are merged"
        return [Diagnostic("CP1204", message, span, related=related, hint=hint)]
    return []


def _version_in_key(engine: TableEngine) -> list[Diagnostic]:
    """Report a version in the sorting key: of rows with equal keys, ReplacingMergeTree keeps the highest version."""
    version = engine.options.get("VER")
    key = engine.options.get("SORTING_KEY")
    if version is None or key is None:
        return []
    names = [m.group(1) or m.group(2) for m in _IDENTIFIER.finditer(key.text) if not m.group(3)]
    if version.text.strip("` ") not in names:
        return []
    message = f"ENGINE_VER '{version.text.strip()}' is part of the sorting key"
    related = (Related("the sorting key", key.span),)
    hint = "leave it out of ENGINE_SORTING_KEY: rows with equal keys are replaced by the one with the highest version"
    return [Diagnostic("CP1205", message, version.span, related=related, hint=hint)]
