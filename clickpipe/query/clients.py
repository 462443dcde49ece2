"""SQL as ClickHouse's own clients send it, over what a workspace shows them: one database with its tables.

They qualify names with a database, and read `system.tables` and the like to list what there is. Here such names become
the workspace's own, and such tables become constants that hold its data sources and pipes, before the SQL is judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from clickpipe.catalog import Live
from clickpipe.sql import TableReference, quote_identifier, quote_literal, references, splice

_CONSTANTS = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|\"[^\"]*\"|"
    r"\b(?P<name>displayName|hostName|currentDatabase|database|currentUser|user)\s*\(\s*\)",
    re.IGNORECASE,
)
_QUALIFIED = re.compile(
    r"'(?:[^'\\]|\\.|'')*'|"
    r"(?<![\w`\".])(?P<database>`\w+`|\"\w+\"|\w+)\s*\.\s*(?P<table>`[^`]+`|\"[^\"]+\"|\w+)\s*\.\s*(?=[`\"\w])"
)
_SHOW = (
    (re.compile(r"SHOW\s+DATABASES", re.IGNORECASE), "SELECT name FROM system.databases ORDER BY name"),
    (
        re.compile(r"SHOW\s+TABLES(?:\s+(?:FROM|IN)\s+[`\"]?\w+[`\"]?)?", re.IGNORECASE),
        "SELECT name FROM system.tables ORDER BY name",
    ),
    (
        re.compile(r"(?:DESCRIBE|DESC)\s+(?:TABLE\s+)?(?:[`\"]?\w+[`\"]?\.)?[`\"]?(?P<table>\w+)[`\"]?", re.IGNORECASE),
        "SELECT name, type, default_kind AS default_type, default_expression, comment, '' AS codec_expression, "
        "'' AS ttl_expression FROM system.columns WHERE table = '{table}' ORDER BY position",
    ),
)
_Row = tuple[str | int, ...]
_SETTINGS = (("max_threads", "auto", 1), ("readonly", "1", 1), ("date_time_input_format", "best_effort", 1))


def client_sql(text: str, live: Live, database: str, readable: Callable[[str, str], bool]) -> str:
    """Return a client's SQL over a workspace's own names; `database` is what the workspace is called.

    `readable(kind, name)` tells whether the caller may read a data source (`DATASOURCES`) or a pipe (`PIPES`): others
    are not listed.
    """
    shown = text.strip().rstrip(";").strip()
    for pattern, instead in _SHOW:
        if match := pattern.fullmatch(shown):
            shown = instead.format(**match.groupdict())

    def constant(match: re.Match[str]) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        value = database if name.lower() in {"currentdatabase", "database"} else "clickpipe"
        return quote_literal(value)

    shown = _without_databases(shown, {database, "default", "system"})

    def replace(reference: TableReference) -> str | None:
        if reference.database.lower() == "system" and reference.name.lower() in _TABLES:
            return _TABLES[reference.name.lower()](live, database, readable)
        return quote_identifier(reference.name) if reference.database in {database, "default"} else None

    return splice(_CONSTANTS.sub(constant, shown), replace)


def _without_databases(sql: str, databases: Collection[str]) -> str:
    """Return SQL with `database.table.column` as `table.column`, or with the alias that the table has there."""
    named = {(r.database.lower(), r.name): r.alias or r.name for r in references(sql)}

    def shortened(match: re.Match[str]) -> str:
        if match["table"] is None or match["database"].strip('`"') not in databases:
            return match[0]
        alias = named.get((match["database"].strip('`"').lower(), match["table"].strip('`"')))
        return f"{quote_identifier(alias)}." if alias else match[0]

    return _QUALIFIED.sub(shortened, sql)


_Readable = Callable[[str, str], bool]


def _databases(_live: Live, database: str, _readable: _Readable) -> str:
    names = (
        "name String",
        "engine String",
        "data_path String",
        "metadata_path String",
        "uuid String",
        "comment String",
    )
    return _values(names, [(database, "Atomic", "", "", "", "")])


def _tables(live: Live, database: str, readable: _Readable) -> str:
    rows: list[_Row] = [
        (database, source.name, source.engine.name.text, source.engine.option("SORTING_KEY"), source.description)
        for source in live.compiled.data_sources.values()
        if readable("DATASOURCES", source.name)
    ]
    rows += [
        (database, name, "View", "", function.description)
        for name, function in live.compiled.endpoints.items()
        if readable("PIPES", name)
    ]
    columns = ("database String", "name String", "engine String", "sorting_key String", "comment String")
    more = ", toUInt8(0) AS is_temporary, sorting_key AS primary_key, '' AS partition_key, '' AS sampling_key, "
    more += "toNullable(toUInt64(0)) AS total_rows, toNullable(toUInt64(0)) AS total_bytes, '' AS create_table_query, "
    more += "'' AS uuid, toDateTime(0) AS metadata_modification_time, ['/'] AS data_paths, engine AS engine_full"
    return _values(columns, rows, more)


def _columns(live: Live, database: str, readable: _Readable) -> str:
    rows: list[_Row] = []
    for source in live.compiled.data_sources.values():
        if readable("DATASOURCES", source.name):
            for number, column in enumerate(source.columns, 1):
                default = column.default.text if column.default else ""
                kind = "DEFAULT" if default else ""
                rows.append((database, source.name, column.name, column.type, number, kind, default))
    for name, function in live.compiled.endpoints.items():
        if readable("PIPES", name):
            for number, found in enumerate(function.columns, 1):
                rows.append((database, name, found.name, found.type, number, "", ""))
    names = "database String, table String, name String, type String, position UInt64, default_kind String"
    columns = (names, "default_expression String")
    more = ", '' AS comment, toUInt8(0) AS is_in_partition_key, toUInt8(0) AS is_in_sorting_key, "
    more += "toUInt8(0) AS is_in_primary_key, toUInt8(0) AS is_in_sampling_key, '' AS compression_codec, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS character_octet_length, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS numeric_precision, CAST(NULL, 'Nullable(UInt64)') AS numeric_scale, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS numeric_precision_radix, "
    more += "CAST(NULL, 'Nullable(UInt64)') AS datetime_precision"
    return _values(columns, rows, more)


def _settings(_live: Live, _database: str, _readable: _Readable) -> str:
    return _values(
        ("name String", "value String", "readonly UInt8"), list(_SETTINGS), ", '' AS description, '' AS type"
    )


def _functions(_live: Live, _database: str, _readable: _Readable) -> str:
    texts = ("alias_to", "create_query", "origin", "description", "syntax", "arguments", "returned_value", "examples")
    names = ["name String", "is_aggregate UInt8", "case_insensitive UInt8"]
    return _values([*names, *(f"{text} String" for text in (*texts, "categories"))], [])


def _types(_live: Live, _database: str, _readable: _Readable) -> str:
    return _values(("name String", "case_insensitive UInt8", "alias_to String"), [])


def _values(columns: Collection[str], rows: Iterable[_Row], more: str = "") -> str:
    """Return SQL of a table of constants."""
    listed = ", ".join(
        f"({', '.join(quote_literal(one) if isinstance(one, str) else str(one) for one in row)})" for row in rows
    )
    names = quote_literal(", ".join(columns))
    source = f"values({names}, {listed})" if listed else f"null({names})"
    return f"(SELECT *{more} FROM {source})"


_TABLES: dict[str, Callable[[Live, str, _Readable], str]] = {
    "databases": _databases,
    "tables": _tables,
    "columns": _columns,
    "settings": _settings,
    "functions": _functions,
    "data_type_families": _types,
}
