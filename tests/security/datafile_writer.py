"""Writes projects that try to get out: good datafiles with hostile text in each place where text may be."""

# ruff: noqa: E501 - lists of pieces
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

_Choice = TypeVar("_Choice")

EVENTS = """TOKEN "reader" READ
DESCRIPTION >
    Events.

SCHEMA >
    `id` UInt64 `json:$.id`,
    `at` DateTime `json:$.at` DEFAULT now(),
    `val` String `json:$.val` DEFAULT 'none' CODEC(ZSTD(1)),
    `tags` Array(String) `json:$.tags[:]`

ENGINE "MergeTree"
ENGINE_PARTITION_KEY "toYYYYMM(at)"
ENGINE_SORTING_KEY "id, at"
ENGINE_TTL "at + toIntervalDay(3000)"
ENGINE_SETTINGS "index_granularity=8192"

INDEXES >
    INDEX of_val val TYPE bloom_filter(0.01) GRANULARITY 4
"""
SUMS = """SCHEMA >
    `day` Date,
    `n` AggregateFunction(count)

ENGINE "AggregatingMergeTree"
ENGINE_SORTING_KEY "day"
"""
VIEW = """NODE made
SQL >
    SELECT toDate(at) AS day, countState() AS n FROM events GROUP BY day

TYPE materialized
DATASOURCE sums
"""
TOP = """TOKEN "reader" READ

NODE some
DESCRIPTION >
    Some.
SQL >
    %
    SELECT id, val, length(tags) AS tags
    FROM events
    WHERE val != {{String(word, 'x', description='A word')}}
    {% if defined(most) %} AND id < {{UInt64(most, 10)}} {% end %}

NODE all
SQL >
    SELECT val, count() AS n FROM some GROUP BY val ORDER BY n DESC LIMIT 10

TYPE endpoint
"""
COPY = """NODE copied
SQL >
    SELECT today() AS day, countState() AS n FROM events

TYPE copy
TARGET_DATASOURCE sums
COPY_SCHEDULE @on-demand
COPY_MODE append
"""
GOOD: Mapping[str, str] = {
    "datasources/events.datasource": EVENTS,
    "datasources/sums.datasource": SUMS,
    "pipes/made.pipe": VIEW,
    "pipes/top.pipe": TOP,
    "pipes/copied.pipe": COPY,
}

_EXPRESSIONS = (
    "file('{file}')", "hex(file('{file}', 'x'))", "(SELECT * FROM file('{file}', 'RawBLOB'))", "hostName()",
    "(SELECT any(name) FROM system.databases)", "(SELECT val FROM `{foreign}`.other)", "getServerSetting('path')",
    "(SELECT * FROM url('{address}', 'RawBLOB', 'a String'))", "dictGet('x', 'y', 1)", "joinGet('{foreign}.other', 'val', 1)",
    "getSetting('max_threads')", "currentUser()", "(SELECT c FROM executable('cat {file}', TSV, 'c String'))",
    "sleep(3)", "throwIf(1, 'x')", "repeat('x', 1000000000)", "range(1000000000)", "tb_secret('key')", "queryID()",
    "(SELECT * FROM remote('127.0.0.1:{port}', system.one))", "catboostEvaluate('{file}', 1)", "val", "1", "now()",
    "(SELECT * FROM s3('{address}a.csv', 'CSV', 'a String'))", "materialize(1)", "(x -> x)(1)", "showCertificate()",
    "(SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd'))", "(SELECT 1 INTO OUTFILE '{out}')",
)  # fmt: skip
_TABLES = (
    "file('{file}', 'RawBLOB', 'val String')", "url('{address}', 'CSV', 'val String')", "`{foreign}`.other",
    "{foreign}.other", "system.tables", "system.one", "numbers(3)", "s3('{address}a.csv', 'CSV', 'val String')",
    "remote('127.0.0.1:{port}', '{foreign}', 'other')", "mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "merge('.*', '.*')",
    "hdfs('{address}', 'CSV', 'val String')", "executable('cat {file}', 'TSV', 'val String')", "input('val String')",
    "sqlite('{file}', 'x')", "deltaLake('{address}')", "iceberg('{address}')", "redis('127.0.0.1:{port}', 'k', 'k String')",
    "mongodb('127.0.0.1:{port}', 'a', 'b', 'c', 'd', 'val String')", "odbc('DSN=x', 'a', 'b')", "dictionary('x')", "events",
    "azureBlobStorage('{address}', 'c', 'b')", "view(SELECT * FROM file('{file}'))", "generateRandom('val String')",
    "(SELECT * FROM file('{file}', 'RawBLOB', 'val String'))", "cluster('default', system.one)", "top", "nope", "_",
)  # fmt: skip
_SQL = (
    "SELECT * FROM {t}", "SELECT {e} AS val FROM events", "SELECT val FROM events WHERE val = {e}",
    "SELECT * FROM events INTO OUTFILE '{out}'", "SELECT 1; DROP TABLE events", "DROP TABLE events",
    "INSERT INTO FUNCTION file('{out}', 'CSV') SELECT 1", "CREATE TABLE x ENGINE = File(CSV) AS SELECT 1",
    "SELECT 1 SETTINGS max_threads = 1", "SELECT * FROM events SETTINGS additional_table_filters = {{}}",
    "SELECT $h$ {t} $h$ AS val", "SELECT 'a' /* FROM {t} /* */ FROM {t} */ AS val", "SELECT 1 AS val -- {t}",
    "WITH {e} AS x SELECT x AS val FROM events", "WITH (x -> {e}) AS hex SELECT hex(val) AS val FROM events",
    "WITH events AS (SELECT * FROM {t}) SELECT * FROM events", "SELECT * FROM events UNION ALL SELECT * FROM {t}",
    "SELECT * FROM events AS a JOIN {t} AS b ON 1", "SELECT val FROM events WHERE val IN (SELECT val FROM {t})",
    "EXPLAIN SELECT * FROM {t}", "DESCRIBE {t}", "SHOW CREATE TABLE {t}", "SYSTEM SHUTDOWN", "ATTACH TABLE x FROM '{file}'",
    "%\n    SELECT * FROM {{{{TABLE('{t}')}}}}", "%\n    SELECT {{{{columns(x)}}}} FROM {t}", "SELECT 1 AS val FORMAT Null",
    "%\n    SELECT {{{{round(Int32(x, 1), Int32(n, -9999999))}}}} AS val", "%\n    {{% include '{file}' %}}",
    "%\n    {{% import os %}} SELECT 1 AS val", "%\n    SELECT {{{{''.__class__.__mro__}}}} AS val", "SELECT val FROM events",
    "%\n    SELECT {{{{open('{file}').read()}}}} AS val", "%\n    {{% for a in range(1000000000) %}}x{{% end %}} SELECT 1 AS val",
    "%\n    SELECT {{{{'a' * 1000000000}}}} AS val", "%\n    SELECT {{{{error('{file}')}}}} AS val",
    "%\n    SELECT {{{{tb_secret('key')}}}} AS val", "%\n    SELECT {{{{tb_var('CLICKPIPE_CANARY')}}}} AS val",
)  # fmt: skip
_TYPES = (
    "Nested(a String)", "JSON", "Dynamic", "LowCardinality(String)", "Enum8('a' = 1)", "String'", "String) ENGINE = Log --",
    "AggregateFunction(count)", "Tuple(a String)", "Object('json')", "Nullable(Nothing)", "Decimal(99, 9)", "X", "String, x String",
    "FixedString(99999999999)", "DateTime('{file}')", "Array(Array(Array(Array(String))))", "Int8", "UUID", "IPv4", "Point",
)  # fmt: skip
_ENGINES = (
    "Log", "Memory", "File(CSV, '{file}')", "URL('{address}', CSV)", "MergeTree() ORDER BY id SETTINGS disk = 'x' --", "Join",
    "Distributed('default', 'a', 'b')", "S3('{address}', 'CSV')", "Executable('cat', TSV)", "Null", "ReplacingMergeTree",
    "Merge('.*', '.*')", "Buffer(a, b, 1, 1, 1, 1, 1, 1, 1)", "PostgreSQL('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "Kafka",
    "MySQL('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "Dictionary('x')", "EmbeddedRocksDB", "StripeLog", "ReplicatedMergeTree('/x', 'y')",
    "Set", "GenerateRandom", "SQLite('{file}')", "Redis('127.0.0.1:{port}')", "MaterializedView", "TimeSeries", "SummingMergeTree",
)  # fmt: skip
_SETTINGS = (
    "disk=disk(type=local, path='{out}/')", "storage_policy='x'", "disk='default'", "index_granularity=1", "x=1",
    "disk = disk(type = web, endpoint = '{address}')", "index_granularity=8192 COMMENT '{file}'", "min_bytes_for_wide_part=0",
    "table_disk=1", "allow_nullable_key=1, disk='x'", "index_granularity=8192) AS SELECT file('{file}') --", "old_parts_lifetime=1",
)  # fmt: skip
_TTLS = (
    "at + toIntervalDay(1) TO DISK 'x'",
    "at TO VOLUME 'y'",
    "at RECOMPRESS CODEC(ZSTD(9))",
    "at + {e}",
    "at WHERE {e}",
    "at; x",
)
_LINES: tuple[str, ...] = (
    'INCLUDE "{file}"', "INCLUDE {file}", 'TOKEN "x" READ READ', "TOKEN x APPEND", "SHARED_WITH >\n    other",
    "KAFKA_BOOTSTRAP_SERVERS 127.0.0.1:{port}\nKAFKA_TOPIC a\nKAFKA_GROUP_ID b", "IMPORT_BUCKET_URI {address}*.csv",
    "IMPORT_SERVICE s3\nIMPORT_CONNECTION_NAME x\nIMPORT_BUCKET_URI s3://x/*", "EXPORT_SERVICE s3\nEXPORT_BUCKET_URI {address}",
    "FORWARD_QUERY >\n    SELECT {e} AS id, at, val, tags", "FORWARD_QUERY >\n    SELECT * FROM {t}", 'TAGS "a, b"',
    "VERSION 3", "DATASOURCE {t}", "TYPE sink", "COPY_SCHEDULE 30 2 30 2 *", "TARGET_DATASOURCE {t}", "ENGINE_VER {e}", "\0",
    "ENGINE_PRIMARY_KEY {e}", "ENGINE_SAMPLING_KEY {e}", "ENGINE_IS_DELETED {e}", "NODE x\nSQL >\n    SELECT * FROM {t}", "\ufeff",
    "“x”", "INDEXES >\n    INDEX i {e} TYPE set(0) GRANULARITY 1", "INDEXES >\n    INDEX i val TYPE hypothesis", "DESCRIPTION {file}",
)  # fmt: skip
_LINES += (
    'TAGS "$CLICKPIPE_CANARY"',
    "DATASOURCE ${CLICKPIPE_CANARY}",
    'DESCRIPTION "$CLICKPIPE_CANARY"',
    "ENGINE_VER $CLICKPIPE_CANARY",
)
_PLACES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("datasources/events.datasource", "now()", _EXPRESSIONS),
    ("datasources/events.datasource", "'none'", _EXPRESSIONS),
    ("datasources/events.datasource", "ZSTD(1)", ("NONE", "LZ4HC(99)", "AES_128_GCM_SIV", "Delta, ZSTD(22)", "x) --", "{file}")),
    ("datasources/events.datasource", "Array(String)", _TYPES),
    ("datasources/events.datasource", '"MergeTree"', _ENGINES),
    ("datasources/events.datasource", '"toYYYYMM(at)"', _EXPRESSIONS),
    ("datasources/events.datasource", '"id, at"', _EXPRESSIONS),
    ("datasources/events.datasource", '"at + toIntervalDay(3000)"', _TTLS),
    ("datasources/events.datasource", '"index_granularity=8192"', _SETTINGS),
    ("datasources/events.datasource", "json:$.val", ("json:$", "json:$.a[0]", "json:$['{file}']", "json:$..x", "x", "json:$.a.b[:]")),
    ("datasources/events.datasource", "bloom_filter(0.01)", ("minmax", "set(1)", "annoy()", "full_text", "x(1)", "ngrambf_v1(1,2,3,4)")),
    ("datasources/sums.datasource", "AggregateFunction(count)", _TYPES),
    ("datasources/sums.datasource", '"AggregatingMergeTree"', _ENGINES),
    ("pipes/made.pipe", "SELECT toDate(at) AS day, countState() AS n FROM events GROUP BY day", _SQL),
    ("pipes/made.pipe", "FROM events", tuple(f"FROM {table}" for table in _TABLES)),
    ("pipes/made.pipe", "countState()", _EXPRESSIONS),
    ("pipes/top.pipe", "SELECT val, count() AS n FROM some GROUP BY val ORDER BY n DESC LIMIT 10", _SQL),
    ("pipes/top.pipe", "SELECT val, count() AS n FROM some GROUP BY val ORDER BY n DESC LIMIT 10", _SQL),
    ("pipes/top.pipe", "FROM events", tuple(f"FROM {table}" for table in _TABLES)),
    ("pipes/top.pipe", "length(tags)", _EXPRESSIONS),
    ("pipes/top.pipe", "'A word'", ("'{file}'", "x", "__import__('os')", "1 / 0", "description", "'a', format=x", "None")),
    ("pipes/copied.pipe", "SELECT today() AS day, countState() AS n FROM events", _SQL),
    ("pipes/copied.pipe", "FROM events", tuple(f"FROM {table}" for table in _TABLES)),
    ("pipes/copied.pipe", "append", ("replace", "x", "{file}", "append\nCOPY_SCHEDULE * * * * *")),
)  # fmt: skip


@dataclass(frozen=True)
class Outside:
    """What a project may not reach: a file, an address with a port, a file to write, another workspace's database."""

    file: str
    address: str
    port: int
    out: str
    foreign: str


class ProjectWriter:
    """Writes projects; the same for the same seed."""

    def __init__(self, seed: int, outside: Outside) -> None:
        self._random = Random(seed)
        self._outside = outside

    def files(self) -> dict[str, str]:
        """Return a project's files by their names."""
        files = dict(GOOD)
        for _ in range(self._of((1, 1, 1, 2, 3))):
            kind = self._random.randrange(12)
            if kind < 8:
                name, place, pieces = self._of(_PLACES)
                files[name] = files[name].replace(place, self._piece(pieces), 1)
            elif kind == 8:
                name = self._of(tuple(files))
                files[name] = f"{files[name]}\n{self._piece(_LINES)}\n"
            elif kind == 9:
                files[self._of(tuple(files))] = self._cut(files[self._of(tuple(files))])
            elif kind == 10:
                name = self._of(
                    ("../out", "datasources/../../x", "pipes/" + "a" * 300, "pipes/;x", "pipes/ü", "pipes/top2")
                )
                files[f"{name}.pipe"] = f"NODE n\nSQL >\n    {self._piece(_SQL)}\n\nTYPE endpoint\n"
            else:
                files[self._of(("clickpipe.toml", ".env", "fixtures/events.ndjson", "x.incl"))] = self._piece(
                    _LINES + _SETTINGS
                )
        return files

    def _of(self, choices: Sequence[_Choice]) -> _Choice:
        return self._random.choice(choices)

    def _piece(self, pieces: tuple[str, ...]) -> str:
        text = self._random.choice(pieces)
        for _ in range(2):
            if "{e}" in text or "{t}" in text:
                text = text.replace("{e}", self._random.choice(_EXPRESSIONS)).replace(
                    "{t}", self._random.choice(_TABLES)
                )
        for name in ("file", "address", "port", "out", "foreign"):
            text = text.replace(f"{{{name}}}", str(getattr(self._outside, name)))
        return text.replace("{{{{", "{{").replace("}}}}", "}}").replace("{{%", "{%").replace("%}}", "%}")

    def _cut(self, text: str) -> str:
        """Return a text with a piece taken out, doubled, or spoiled."""
        start = self._random.randrange(len(text) or 1)
        end = min(len(text), start + self._random.randrange(1, 60))
        spoiled = self._random.choice(
            ("", text[start:end] * 2, "'", '"', "`", "/*", "--", "\0", "(", ")", ">", "\n\n", "{{", "%}", ";")
        )
        return text[:start] + spoiled + text[end:]
