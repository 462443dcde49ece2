"""Builds `system.tables` and the like, and `information_schema`, as constants that list what a client may see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from clickpipe.query.shown import INFORMATION_SCHEMA, Shown
from clickpipe.sql import quote_literal

_Value = str | int | None


def system_table(database: str, name: str, shown: Shown) -> str | None:
    """Return SQL that reads as a table of `system` or `information_schema`; None if it is not supported."""
    if database.lower() == "system":
        make = _SYSTEM.get(name.lower())
        return make(shown) if make else None
    if database.lower() == INFORMATION_SCHEMA:
        return _information(name.lower(), shown)
    return None


def _databases(shown: Shown) -> str:
    columns = ("name String", "engine String")
    more = ", '' AS data_path, '' AS metadata_path, '' AS uuid, '' AS engine_full, '' AS comment, 0 AS is_external"
    return _values(columns, [(name, "Atomic") for name in shown.databases()], more)


def _tables(shown: Shown) -> str:
    columns = (
        *("database String", "name String", "engine String", "sorting_key String", "partition_key String"),
        *("primary_key String", "comment String", "create_table_query String"),
        *("total_rows Nullable(UInt64)", "total_bytes Nullable(UInt64)"),
    )
    rows = [
        (
            *(shown.database, t.name, t.engine, t.sorting_key, t.partition_key, t.primary_key, t.comment),
            *(t.definition(shown.database), t.rows, t.size),
        )
        for t in shown.tables(counted=True)
    ]
    more = ", toUInt8(0) AS is_temporary, '' AS sampling_key, '' AS uuid, toDateTime(0) AS metadata_modification_time, "
    more += "['/'] AS data_paths, '' AS metadata_path, engine AS engine_full, '' AS as_select, '' AS storage_policy, "
    more += "CAST([], 'Array(String)') AS dependencies_database, CAST([], 'Array(String)') AS dependencies_table, "
    more += "total_rows AS lifetime_rows, total_bytes AS lifetime_bytes, total_bytes AS total_bytes_uncompressed, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS parts, toUInt8(0) AS has_own_data, "
    more += "CAST([], 'Array(String)') AS loading_dependencies_database"
    return _values(columns, rows, more)


def _columns(shown: Shown) -> str:
    rows: list[tuple[_Value, ...]] = []
    for table in shown.tables():
        for number, column in enumerate(table.columns, 1):
            kind = "DEFAULT" if column.default else ""
            codec = f"CODEC({column.codec})" if column.codec and not column.codec.startswith("CODEC") else column.codec
            keys = [
                int(_in_key(column.name, key)) for key in (table.partition_key, table.sorting_key, table.primary_key)
            ]
            rows.append(
                (shown.database, table.name, column.name, column.type, number, kind, column.default, codec, *keys)
            )
    columns = (
        *("database String", "table String", "name String", "type String", "position UInt64", "default_kind String"),
        *("default_expression String", "compression_codec String", "is_in_partition_key UInt8"),
        *("is_in_sorting_key UInt8", "is_in_primary_key UInt8"),
    )
    more = ", '' AS comment, toUInt8(0) AS is_in_sampling_key, toUInt64(0) AS data_compressed_bytes, "
    more += "toUInt64(0) AS data_uncompressed_bytes, toUInt64(0) AS marks_bytes, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS character_octet_length, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS numeric_precision, CAST(NULL, 'Nullable(UInt64)') AS numeric_scale, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS numeric_precision_radix, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS datetime_precision"
    return _values(columns, rows, more)


def _in_key(name: str, key: str) -> bool:
    parts = key.removeprefix("tuple").strip("() ").split(",")
    return name in {part.strip(' `"') for part in parts}


def _settings(shown: Shown) -> str:
    rows = [(s.name, s.value, int(s.readonly), s.type) for s in shown.settings.values()]
    columns = ("name String", "value String", "readonly UInt8", "type String")
    more = ", '' AS description, toUInt8(0) AS changed, value AS default, CAST(NULL, 'Nullable(String)') AS min, "
    more += "CAST(NULL, 'Nullable(String)') AS max, '' AS alias_for, toUInt8(0) AS is_obsolete, 'Production' AS tier"
    return _values(columns, rows, more)


def _functions(_shown: Shown) -> str:
    texts = ("alias_to", "create_query", "origin", "description", "syntax", "arguments", "returned_value", "examples")
    names = ["name String", "is_aggregate UInt8", "case_insensitive UInt8"]
    return _values([*names, *(f"{text} String" for text in (*texts, "categories"))], [])


def _types(_shown: Shown) -> str:
    return _values(("name String", "case_insensitive UInt8", "alias_to String"), [])


def _values(columns: Sequence[str], rows: Iterable[Sequence[_Value]], more: str = "") -> str:
    """Return SQL that reads as a table of constant rows."""
    listed = ", ".join(f"({', '.join(_literal(one) for one in row)})" for row in rows)
    names = quote_literal(", ".join(columns))
    source = f"values({names}, {listed})" if listed else f"null({names})"
    return f"(SELECT *{more} FROM {source})"


def _literal(value: _Value) -> str:
    return "NULL" if value is None else quote_literal(value) if isinstance(value, str) else str(value)


_SYSTEM: dict[str, Callable[[Shown], str]] = {
    "columns": _columns,
    "data_type_families": _types,
    "databases": _databases,
    "functions": _functions,
    "settings": _settings,
    "tables": _tables,
}


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "''")


# The columns of information_schema's tables, and the system table they come from ('' for an empty table).
# Each column also exists in upper case, as in ClickHouse.
_INFORMATION: dict[str, tuple[dict[str, str], str]] = {
    "schemata": (
        {
            "catalog_name": "name",
            "schema_name": "name",
            "schema_owner": "'default'",
            "default_character_set_name": "CAST(NULL, 'Nullable(String)')",
        },
        "databases",
    ),
    "tables": (
        {
            "table_catalog": "database",
            "table_schema": "database",
            "table_name": "name",
            "table_type": "if(engine = 'View', 'VIEW', 'BASE TABLE')",
            "table_rows": "total_rows",
            "data_length": "total_bytes",
            "table_collation": "'utf8mb4'",
            "table_comment": "comment",
        },
        "tables",
    ),
    "views": (
        {
            "table_catalog": "database",
            "table_schema": "database",
            "table_name": "name",
            "view_definition": "''",
            "check_option": "'NONE'",
            "is_updatable": "'NO'",
        },
        "tables",
    ),
    "columns": (
        {
            "table_catalog": "database",
            "table_schema": "database",
            "table_name": "table",
            "column_name": "name",
            "ordinal_position": "position",
            "column_default": "default_expression",
            "is_nullable": "toUInt8(startsWith(type, 'Nullable('))",
            "data_type": "type",
            "character_maximum_length": "character_octet_length",
            "character_octet_length": "character_octet_length",
            "numeric_precision": "numeric_precision",
            "numeric_precision_radix": "numeric_precision_radix",
            "numeric_scale": "numeric_scale",
            "datetime_precision": "datetime_precision",
            "column_comment": "comment",
            "column_type": "type",
            "extra": "''",
        },
        "columns",
    ),
    "key_column_usage": (
        _texts(
            *("constraint_name", "constraint_schema", "table_schema", "table_name", "column_name"),
            *("referenced_table_schema", "referenced_table_name", "referenced_column_name"),
        ),
        "",
    ),
    "referential_constraints": (
        _texts(
            *("constraint_name", "constraint_schema", "table_name", "referenced_table_name"),
            *("update_rule", "delete_rule"),
        ),
        "",
    ),
    "statistics": (_texts("table_schema", "table_name", "index_name", "column_name"), ""),
}


def _information(name: str, shown: Shown) -> str | None:
    if name not in _INFORMATION:
        return None
    columns, of = _INFORMATION[name]
    listed = ", ".join(f"{text} AS `{shout}`" for column, text in columns.items() for shout in (column, column.upper()))
    where = "WHERE engine = 'View'" if name == "views" else "" if of else "WHERE 0"
    # In a sub-query of its own, so that no alias is taken for one of the source's columns.
    return (
        f"(SELECT {listed} FROM (SELECT * FROM {_SYSTEM[of](shown)} {where}))" if of else f"(SELECT {listed} {where})"
    )
