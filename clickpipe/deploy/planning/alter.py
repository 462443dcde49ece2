"""Table changes that can reuse the files: columns added, dropped or made Nullable, TTL, indexes, and so on.

The new table gets the old table's files, as hard links that take no space, and is then altered if necessary: in each
part, ClickHouse rewrites only the columns that change, and writes new ones only if their default is not a constant. The
old table stays as it is, for going back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from clickpipe.compiler import column_ddl, table_ddl
from clickpipe.engine import WAIT_FOR_ALTER, Engine, EngineError, Settings, scratch
from clickpipe.project import Column, DataSource, Index
from clickpipe.sql import quote_identifier, quote_literal

_LOW_CARDINALITY = re.compile(r"^LowCardinality\((.*)\)$", re.DOTALL)
_CONSTANT = re.compile(r"^(?:-?\d+(?:\.\d+)?|'(?:[^'\\]|\\.)*'|NULL|true|false|\[\])$", re.IGNORECASE)
_WRITING = ("UPDATE", "DROP COLUMN", "MODIFY COLUMN", "MATERIALIZE", "MODIFY TTL")
_FREE = ("TTL", "SETTINGS")  # engine options that may differ


def alterations(engine: Engine, before: DataSource, after: DataSource, old: str) -> tuple[str, ...] | None:
    """Return the ALTERs (what follows `ALTER TABLE …`) that turn the files of `old` into the new table's; often none.

    Returns None if the rows have to be rewritten: for another key or type, a FORWARD_QUERY, or if ClickHouse refuses
    the change on a test table with one row.
    """
    if after.forward_query is not None or not _same_engine(before, after):
        return None
    if any(_retyped(c, before.column(c.name)) for c in after.columns):
        return None
    statements = tuple(_statements(before, after, engine.storage.columns_in_all_parts(old)))
    return statements if _taken(engine, before, after, statements) else None


def _same_engine(before: DataSource, after: DataSource) -> bool:
    old, new = before.engine, after.engine
    named = {*old.options, *new.options} - {*_FREE}
    return (
        old.name.text == new.name.text
        and new.name.text.endswith("MergeTree")
        and all(_plain(old.option(option)) == _plain(new.option(option)) for option in named)
    )


def _retyped(column: Column, before: Column | None) -> bool:
    return before is not None and not _same_type(before, column) and not _made_nullable(before, column)


def _same_type(before: Column, after: Column) -> bool:
    return _plain(before.type) == _plain(after.type)


def _made_nullable(before: Column, after: Column) -> bool:
    inner = _LOW_CARDINALITY.match(before.type)
    wanted = f"LowCardinality(Nullable({inner[1]}))" if inner else f"Nullable({before.type})"
    return _plain(wanted) == _plain(after.type)


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text)


def writes(statements: tuple[str, ...]) -> bool:
    """Return whether the statements rewrite parts, rather than only metadata."""
    return any(
        word in text for text in statements for word in ("UPDATE", "DROP COLUMN", "MODIFY COLUMN", "MATERIALIZE")
    )


def _statements(before: DataSource, after: DataSource, written: set[str]) -> list[str]:
    found = []
    kept = [(old, now) for old in before.columns if (now := after.column(old.name)) is not None]
    found += _write(old.name for old, now in kept if old.name not in written and _default(old) != _default(now))
    old_indexes, new_indexes = ({_index(i): i.name for i in source.indexes} for source in (before, after))
    gone = [name for text, name in old_indexes.items() if text not in new_indexes]
    changes = [f"DROP INDEX IF EXISTS {quote_identifier(name)}" for name in gone]
    changes += [f"DROP COLUMN IF EXISTS {quote_identifier(c.name)}" for c in before.columns if not after.column(c.name)]
    added = [c for c in after.columns if not before.column(c.name)]
    changes += [f"ADD COLUMN IF NOT EXISTS {column_ddl(column)}" for column in added]
    for column in after.columns:
        old = before.column(column.name)
        if old is not None and not _same_type(old, column):
            changes.append(f"MODIFY COLUMN {column_ddl(column)}")
    if changes:
        found.append(", ".join(changes))
    found += _write(column.name for column in added if column.default and not _CONSTANT.match(column.default.text))
    ttl = after.engine.option("TTL")
    if ttl and _plain(ttl) != _plain(before.engine.option("TTL")):
        found += ["MODIFY SETTING materialize_ttl_recalculate_only = 1", f"MODIFY TTL {ttl}"]
    indexes = {text: name for text, name in new_indexes.items() if text not in old_indexes}
    if indexes:
        found.append(", ".join(f"ADD INDEX IF NOT EXISTS {text}" for text in indexes))
        found.append(", ".join(f"MATERIALIZE INDEX {quote_identifier(name)}" for name in indexes.values()))
    return found


def _default(column: Column) -> tuple[str, str]:
    return _plain(column.type), column.default.text if column.default else ""


def _write(columns: Iterable[str]) -> list[str]:
    """Return an UPDATE that stores the current default values of columns, so that later defaults do not change them."""
    names = [quote_identifier(name) for name in columns]
    return [f"UPDATE {', '.join(f'{name} = {name}' for name in names)} WHERE 1"] if names else []


def _index(index: Index) -> str:
    return f"{quote_identifier(index.name)} {index.expression} TYPE {index.type} GRANULARITY {index.granularity}"


def _taken(engine: Engine, before: DataSource, after: DataSource, statements: tuple[str, ...]) -> bool:
    """Return whether ClickHouse accepts the statements, and then the files, on a pair of test tables."""
    with scratch(engine) as checker:
        old, new = checker.table("before"), checker.table("after")
        column = before.columns[0]
        default = f"defaultValueOfTypeName({quote_literal(column.type)})"
        row = f"INSERT INTO {old} ({quote_identifier(column.name)}) SETTINGS optimize_on_insert = 0 SELECT {default}"
        try:
            for statement in [table_ddl(before, old), table_ddl(after, new), row]:
                engine.execute(statement)
            alter(engine, old, statements)
            engine.storage.share(new, old)
        except EngineError:
            return False
    return True


def alter(engine: Engine, table: str, statements: tuple[str, ...], settings: Settings | None = None) -> None:
    """Run the statements that `alterations` returned, and wait until they are done. Raises EngineError."""
    for statement in statements:
        engine.execute(f"ALTER TABLE {table} {statement}", settings={**WAIT_FOR_ALTER, **(settings or {})})
