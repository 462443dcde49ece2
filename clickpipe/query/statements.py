"""Translates ClickHouse's read-only statements besides SELECT: SHOW, DESCRIBE, EXISTS, USE, EXPLAIN."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.query.shown import Shown, ShownTable
from clickpipe.query.system_tables import system_table
from clickpipe.sql import quote_literal

_BEFORE = re.compile(r"(?:\s++|/\*.*?\*/|(?:--|#!|# )[^\n]*+(?:\n|$))++", re.DOTALL)
_WRITES = re.compile(
    r"(?:INSERT|CREATE|ALTER|DROP|TRUNCATE|OPTIMIZE|RENAME|EXCHANGE|DELETE|UPDATE|UNDROP|ATTACH|DETACH|REPLACE|SYSTEM|"
    r"KILL|GRANT|REVOKE|MOVE|BACKUP|RESTORE|WATCH)\b(?!\s*\()",
    re.IGNORECASE,
)
_NAME = r"(?:`[^`]+`|\"[^\"]+\"|\w+)"
_LIKE = r"(?:\s+(?P<like>(?:NOT\s+)?I?LIKE\s+'(?:[^'\\]|\\.|'')*'))?(?:\s+LIMIT\s+(?P<limit>\d+))?"
_FROM = rf"(?:\s+(?:FROM|IN)\s+(?P<database>{_NAME}))?"
_TABLE = rf"(?:(?P<database>{_NAME})\s*\.\s*)?(?P<table>{_NAME})"
_Groups = dict[str, str]


@dataclass(frozen=True, slots=True)
class ClientQuery:
    """A client's statement as one SELECT; with `explain` (`EXPLAIN …`, `DESCRIBE`) it is explained, not run.

    Empty SQL means an empty answer.
    """

    sql: str
    explain: str = ""


def client_statement(text: str, shown: Shown) -> ClientQuery:
    """Return the query to run for a client's text.

    Raises ClickpipeError if it writes, is not supported, or names a database or table that does not exist.
    """
    text = _bare(text)
    if _WRITES.match(text):
        message = "This interface is read-only here; send rows to /v0/events, change tables with `clickpipe deploy`"
        raise ClickpipeError(message, code="readonly")
    for pattern, make in _STATEMENTS:
        if match := re.fullmatch(pattern, text, re.IGNORECASE | re.DOTALL):
            return make({name: value or "" for name, value in match.groupdict().items()}, shown)
    if re.match(r"DESC(?:RIBE)?\b", text, re.IGNORECASE):
        message = "DESCRIBE takes a table, or a SELECT in brackets"
        raise ClickpipeError(message, code="not_allowed")
    if re.match(r"(?:SHOW|EXISTS|USE)\b(?!\s*\()", text, re.IGNORECASE):
        message = f"This statement is not offered here: {text[:60]}. There are SHOW TABLES, DATABASES, COLUMNS, CREATE "
        message += "TABLE, SETTINGS and FUNCTIONS, DESCRIBE, EXISTS and USE"
        raise ClickpipeError(message, code="syntax_error")
    return ClientQuery(text)


def canonical_database(shown: Shown, name: str) -> str:
    """Return the database that a client means. Raises ClickpipeError 404 if it does not exist."""
    found = shown.canonical(name)
    if not found:
        raise ClickpipeError(f"Database {name[:100]} does not exist", status=404, code="unknown_database")
    return found


def _bare(text: str) -> str:
    """Return a statement without leading comments and trailing `;`."""
    match = _BEFORE.match(text)
    return text[match.end() if match else 0 :].strip().rstrip(";").rstrip()


def _word(name: str) -> str:
    return name[1:-1] if name[:1] in {"`", '"'} else name


def _database(groups: _Groups, shown: Shown) -> str:
    return canonical_database(shown, _word(groups.get("database", "")))


def _table(groups: _Groups, shown: Shown) -> ShownTable:
    name, database = _word(groups["table"]), _database(groups, shown)
    found = shown.table(name) if database == shown.database else None
    if found is None:
        hint = did_you_mean(name, [table.name for table in shown.tables()])
        message = f"Table {database}.{name[:100]} does not exist" + (f": {hint}" if hint else "")
        raise ClickpipeError(message, status=404, code="unknown_table")
    return found


_Make = Callable[[_Groups, Shown], ClientQuery]


def _listing(select: str, *, of_database: bool = False) -> _Make:
    """Return a function that builds a listing by `name`, with optional LIKE and LIMIT."""

    def make(groups: _Groups, shown: Shown) -> ClientQuery:
        where = f"database = {quote_literal(_database(groups, shown))}" if of_database else "1"
        like = f" AND name {groups['like']}" if groups.get("like") else ""
        limit = f" LIMIT {groups['limit']}" if groups.get("limit") else ""
        return ClientQuery(f"{select} WHERE {where}{like} ORDER BY name{limit}")

    return make


def _always(sql: str) -> _Make:
    return lambda _groups, _shown: ClientQuery(sql)


def _describe(groups: _Groups, shown: Shown) -> ClientQuery:
    database = _database(groups, shown)
    if database != shown.database:
        return ClientQuery(f"SELECT * FROM {database}.{groups['table']}", "DESCRIBE")
    where = _columns_of(groups, shown)
    return ClientQuery(
        "SELECT name, type, default_kind AS default_type, default_expression, comment, "
        f"compression_codec AS codec_expression, '' AS ttl_expression FROM system.columns {where}"
    )


def _columns_of(groups: _Groups, shown: Shown) -> str:
    database, name = _database(groups, shown), _word(groups["table"])
    if database == shown.database:
        name = _table(groups, shown).name
    like = f" AND name {groups['like']}" if groups.get("like") else ""
    limit = f" LIMIT {groups['limit']}" if groups.get("limit") else ""
    where = f"WHERE database = {quote_literal(database)} AND table = {quote_literal(name)}"
    return f"{where}{like} ORDER BY position{limit}"


def _show_columns(groups: _Groups, shown: Shown) -> ClientQuery:
    return ClientQuery(
        "SELECT name AS field, type, if(startsWith(type, 'Nullable('), 'YES', 'NO') AS `null`, "
        f"if(is_in_primary_key, 'PRI SOR', '') AS key, NULL AS default, '' AS extra FROM system.columns "
        f"{_columns_of(groups, shown)}"
    )


def _show_create(groups: _Groups, shown: Shown) -> ClientQuery:
    text = _table(groups, shown).definition(shown.database)
    return ClientQuery(f"SELECT {quote_literal(text)} AS statement")


def _show_create_database(groups: _Groups, shown: Shown) -> ClientQuery:
    name = canonical_database(shown, _word(groups["name"]))
    return ClientQuery(f"SELECT {quote_literal(f'CREATE DATABASE {name}')} AS statement")


def _exists_table(groups: _Groups, shown: Shown) -> ClientQuery:
    database = shown.canonical(_word(groups["database"]))
    name, view = _word(groups["table"]), groups.get("view", "").upper() == "VIEW"
    system = database not in {shown.database, ""}
    found = shown.table(name) if database == shown.database else None
    there = found is not None and (not view or found.engine == "View")
    if system and not view:
        there = system_table(database, name, shown) is not None
    return ClientQuery(f"SELECT toUInt8({int(there)}) AS result")


def _exists_database(groups: _Groups, shown: Shown) -> ClientQuery:
    return ClientQuery(f"SELECT toUInt8({int(bool(shown.canonical(_word(groups['name']))))}) AS result")


def _use(groups: _Groups, shown: Shown) -> ClientQuery:
    canonical_database(shown, _word(groups["name"]))
    return ClientQuery("")


def _explain(groups: _Groups, _shown: Shown) -> ClientQuery:
    return ClientQuery(_bare(groups["query"]), f"EXPLAIN {groups['how']}".rstrip())


def _describe_query(groups: _Groups, _shown: Shown) -> ClientQuery:
    return ClientQuery(groups["query"], "DESCRIBE")


_STATEMENTS: tuple[tuple[str, _Make], ...] = (
    (rf"SHOW\s+(?:DATABASES|SCHEMAS){_LIKE}", _listing("SELECT name FROM system.databases")),
    (rf"SHOW\s+(?:TEMPORARY\s+)?TABLES{_FROM}{_LIKE}", _listing("SELECT name FROM system.tables", of_database=True)),
    (
        rf"SHOW\s+FULL\s+TABLES{_FROM}{_LIKE}",
        _listing(
            "SELECT name, if(engine = 'View', 'VIEW', 'BASE TABLE') AS table_type FROM system.tables", of_database=True
        ),
    ),
    (
        rf"SHOW\s+(?:EXTENDED\s+)?(?:FULL\s+)?(?:COLUMNS|FIELDS)\s+(?:FROM|IN)\s+{_TABLE}{_LIKE}",
        _show_columns,
    ),
    (
        rf"SHOW\s+(?:EXTENDED\s+)?(?:FULL\s+)?(?:COLUMNS|FIELDS)\s+(?:FROM|IN)\s+(?P<table>{_NAME})"
        rf"\s+(?:FROM|IN)\s+(?P<database>{_NAME}){_LIKE}",
        _show_columns,
    ),
    (rf"SHOW\s+CREATE\s+DATABASE\s+(?P<name>{_NAME})", _show_create_database),
    (rf"SHOW\s+(?:CREATE(?:\s+(?:TABLE|VIEW))?|TABLE|VIEW)\s+{_TABLE}", _show_create),
    (rf"SHOW\s+(?:CHANGED\s+)?SETTINGS{_LIKE}", _listing("SELECT name, type, value FROM system.settings")),
    (rf"SHOW\s+FUNCTIONS{_LIKE}", _listing("SELECT * FROM system.functions")),
    (r"SHOW\s+ENGINES", _always("SELECT 'MergeTree' AS name")),
    (r"SHOW\s+PROCESSLIST", _always("SELECT '' AS query_id, '' AS query WHERE 0")),
    (rf"SHOW\s+(?:DICTIONARIES{_FROM}|CLUSTERS|ROLES){_LIKE}", _always("SELECT '' AS name WHERE 0")),
    (r"SHOW\s+(?:EXTENDED\s+)?(?:INDEX|INDEXES|INDICES|KEYS)\s.*", _always("SELECT '' AS table WHERE 0")),
    (r"SHOW\s+(?:GRANTS|ACCESS)(?:\s.*)?", _always("SELECT 'GRANT SELECT ON *.* TO clickpipe' AS grants")),
    (r"SHOW\s+USERS", _always("SELECT 'clickpipe' AS name")),
    (r"SET\s+.*", _always("")),  # applies to a session, which HTTP does not have
    (r"(?:DESCRIBE|DESC)\s+(?:TABLE\s+)?\((?P<query>\s*(?:SELECT|WITH)\b.*)\)", _describe_query),
    (rf"(?:DESCRIBE|DESC)\s+(?:TABLE\s+)?{_TABLE}", _describe),
    (rf"EXISTS\s+DATABASE\s+(?P<name>{_NAME})", _exists_database),
    (rf"EXISTS\s+(?:TEMPORARY\s+)?(?:(?:TABLE|(?P<view>VIEW))\s+)?{_TABLE}", _exists_table),
    (r"EXISTS\s+DICTIONARY\s+.*", _always("SELECT toUInt8(0) AS result")),
    (rf"USE\s+(?:DATABASE\s+)?(?P<name>{_NAME})", _use),
    (
        r"EXPLAIN\s++(?P<how>(?:(?:PLAN|SYNTAX|AST|QUERY\s++TREE|PIPELINE|ESTIMATE)\s++)?+"
        r"(?:\w++\s*+=\s*+\w++(?:\s*+,\s*+|\s++))*+)(?P<query>\(?\s*+(?:SELECT|WITH)\b.*)",
        _explain,
    ),
)
