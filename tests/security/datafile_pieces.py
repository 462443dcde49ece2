"""What projects that try to get out say where text may be: loud pieces, which are refused or do nothing, and quiet ones.

Quiet pieces are fine as they are, and look like more: with them a project deploys, so that all behind the check is met.
In braces stand what is outside (`{file}`), another expression (`{e}`) or table (`{t}`).
"""

# ruff: noqa: E501 - lists of pieces
from __future__ import annotations

EXPRESSIONS = (
    "file('{file}')", "hex(file('{file}', 'x'))", "(SELECT * FROM file('{file}', 'RawBLOB'))", "hostName()",
    "(SELECT any(name) FROM system.databases)", "(SELECT val FROM `{foreign}`.other)", "getServerSetting('path')",
    "(SELECT * FROM url('{address}', 'RawBLOB', 'a String'))", "dictGet('x', 'y', 1)", "joinGet('{foreign}.other', 'val', 1)",
    "getSetting('max_threads')", "currentUser()", "(SELECT c FROM executable('cat {file}', TSV, 'c String'))",
    "sleep(3)", "throwIf(1, 'x')", "repeat('x', 1000000000)", "range(1000000000)", "tb_secret('key')", "queryID()",
    "(SELECT * FROM remote('127.0.0.1:{port}', system.one))", "catboostEvaluate('{file}', 1)", "val", "1", "now()",
    "(SELECT * FROM s3('{address}a.csv', 'CSV', 'a String'))", "materialize(1)", "(x -> x)(1)", "showCertificate()",
    "(SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd'))", "(SELECT 1 INTO OUTFILE '{out}')",
)  # fmt: skip
TABLES = (
    "file('{file}', 'RawBLOB', 'val String')", "url('{address}', 'CSV', 'val String')", "`{foreign}`.other",
    "{foreign}.other", "system.tables", "system.one", "numbers(3)", "s3('{address}a.csv', 'CSV', 'val String')",
    "remote('127.0.0.1:{port}', '{foreign}', 'other')", "mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "merge('.*', '.*')",
    "hdfs('{address}', 'CSV', 'val String')", "executable('cat {file}', 'TSV', 'val String')", "input('val String')",
    "sqlite('{file}', 'x')", "deltaLake('{address}')", "iceberg('{address}')", "redis('127.0.0.1:{port}', 'k', 'k String')",
    "mongodb('127.0.0.1:{port}', 'a', 'b', 'c', 'd', 'val String')", "odbc('DSN=x', 'a', 'b')", "dictionary('x')", "events",
    "azureBlobStorage('{address}', 'c', 'b')", "view(SELECT * FROM file('{file}'))", "generateRandom('val String')",
    "(SELECT * FROM file('{file}', 'RawBLOB', 'val String'))", "cluster('default', system.one)", "top", "nope", "_",
)  # fmt: skip
SQL = (
    "SELECT * FROM {t}", "SELECT {e} AS val FROM events", "SELECT val FROM events WHERE val = {e}",
    "SELECT * FROM events INTO OUTFILE '{out}'", "SELECT 1; DROP TABLE events", "DROP TABLE events",
    "INSERT INTO FUNCTION file('{out}', 'CSV') SELECT 1", "CREATE TABLE x ENGINE = File(CSV) AS SELECT 1",
    "SELECT 1 SETTINGS max_threads = 1", "SELECT * FROM events SETTINGS additional_table_filters = {}",
    "SELECT $h$ {t} $h$ AS val", "SELECT 'a' /* FROM {t} /* */ FROM {t} */ AS val", "SELECT 1 AS val -- {t}",
    "WITH {e} AS x SELECT x AS val FROM events", "WITH (x -> {e}) AS hex SELECT hex(val) AS val FROM events",
    "WITH events AS (SELECT * FROM {t}) SELECT * FROM events", "SELECT * FROM events UNION ALL SELECT * FROM {t}",
    "SELECT * FROM events AS a JOIN {t} AS b ON 1", "SELECT val FROM events WHERE val IN (SELECT val FROM {t})",
    "EXPLAIN SELECT * FROM {t}", "DESCRIBE {t}", "SHOW CREATE TABLE {t}", "SYSTEM SHUTDOWN", "ATTACH TABLE x FROM '{file}'",
    "%\n    SELECT * FROM {{TABLE('{t}')}}", "%\n    SELECT {{columns(x)}} FROM {t}", "SELECT 1 AS val FORMAT Null",
    "%\n    SELECT {{round(Int32(x, 1), Int32(n, -9999999))}} AS val", "%\n    {% include '{file}' %}",
    "%\n    {% import os %} SELECT 1 AS val", "%\n    SELECT {{''.__class__.__mro__}} AS val", "SELECT val FROM events",
    "%\n    SELECT {{open('{file}').read()}} AS val", "%\n    {% for a in range(1000000000) %}x{% end %} SELECT 1 AS val",
    "%\n    SELECT {{'a' * 1000000000}} AS val", "%\n    SELECT {{error('{file}')}} AS val",
    "%\n    SELECT {{tb_secret('key')}} AS val", "%\n    SELECT {{tb_var('CLICKPIPE_CANARY')}} AS val",
)  # fmt: skip
TYPES = (
    "Nested(a String)", "JSON", "Dynamic", "LowCardinality(String)", "Enum8('a' = 1)", "String'", "String) ENGINE = Log --",
    "AggregateFunction(count)", "Tuple(a String)", "Object('json')", "Nullable(Nothing)", "Decimal(99, 9)", "X", "String, x String",
    "FixedString(99999999999)", "DateTime('{file}')", "Array(Array(Array(Array(String))))", "Int8", "UUID", "IPv4", "Point",
)  # fmt: skip
ENGINES = (
    "Log", "Memory", "File(CSV, '{file}')", "URL('{address}', CSV)", "MergeTree() ORDER BY id SETTINGS disk = 'x' --", "Join",
    "Distributed('default', 'a', 'b')", "S3('{address}', 'CSV')", "Executable('cat', TSV)", "Null", "ReplacingMergeTree",
    "Merge('.*', '.*')", "Buffer(a, b, 1, 1, 1, 1, 1, 1, 1)", "PostgreSQL('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "Kafka",
    "MySQL('127.0.0.1:{port}', 'a', 'b', 'c', 'd')", "Dictionary('x')", "EmbeddedRocksDB", "StripeLog", "ReplicatedMergeTree('/x', 'y')",
    "Set", "GenerateRandom", "SQLite('{file}')", "Redis('127.0.0.1:{port}')", "MaterializedView", "TimeSeries", "SummingMergeTree",
)  # fmt: skip
SETTINGS = (
    "disk=disk(type=local, path='{out}/')", "storage_policy='x'", "disk='default'", "index_granularity=1", "x=1",
    "disk = disk(type = web, endpoint = '{address}')", "index_granularity=8192 COMMENT '{file}'", "min_bytes_for_wide_part=0",
    "table_disk=1", "allow_nullable_key=1, disk='x'", "index_granularity=8192) AS SELECT file('{file}') --", "old_parts_lifetime=1",
)  # fmt: skip
TTLS = (
    "at + toIntervalDay(1) TO DISK 'x'", "at TO VOLUME 'y'", "at RECOMPRESS CODEC(ZSTD(9))", "at + {e}", "at WHERE {e}", "at; x",
)  # fmt: skip
LINES: tuple[str, ...] = (
    'INCLUDE "{file}"', "INCLUDE {file}", 'TOKEN "x" READ READ', "TOKEN x APPEND", "SHARED_WITH >\n    other",
    "KAFKA_BOOTSTRAP_SERVERS 127.0.0.1:{port}\nKAFKA_TOPIC a\nKAFKA_GROUP_ID b", "IMPORT_BUCKET_URI {address}*.csv",
    "IMPORT_SERVICE s3\nIMPORT_CONNECTION_NAME x\nIMPORT_BUCKET_URI s3://x/*", "EXPORT_SERVICE s3\nEXPORT_BUCKET_URI {address}",
    "FORWARD_QUERY >\n    SELECT {e} AS id, at, val, tags", "FORWARD_QUERY >\n    SELECT * FROM {t}", 'TAGS "a, b"',
    "VERSION 3", "DATASOURCE {t}", "TYPE sink", "COPY_SCHEDULE 30 2 30 2 *", "TARGET_DATASOURCE {t}", "ENGINE_VER {e}", "\0",
    "ENGINE_PRIMARY_KEY {e}", "ENGINE_SAMPLING_KEY {e}", "ENGINE_IS_DELETED {e}", "NODE x\nSQL >\n    SELECT * FROM {t}", "\ufeff",
    "“x”", "INDEXES >\n    INDEX i {e} TYPE set(0) GRANULARITY 1", "INDEXES >\n    INDEX i val TYPE hypothesis", "DESCRIPTION {file}",
)  # fmt: skip
LINES += (
    'TAGS "$CLICKPIPE_CANARY"', "DATASOURCE ${CLICKPIPE_CANARY}", 'DESCRIPTION "$CLICKPIPE_CANARY"', "ENGINE_VER $CLICKPIPE_CANARY",
)  # fmt: skip

CODECS = ("NONE", "LZ4HC(99)", "AES_128_GCM_SIV", "Delta, ZSTD(22)", "x) --", "{file}")
PATHS = ("json:$", "json:$.a[0]", "json:$['{file}']", "json:$..x", "x", "json:$.a.b[:]")
INDEX_TYPES = ("annoy()", "full_text", "x(1)", "hypothesis", "vector_similarity('hnsw', 'L2Distance', 1)")
TAGS = (
    "{{__import__('os').environ}}", "{{String(x, '{file}')}}", "{{tb_var('CLICKPIPE_CANARY')}}", "{{open('{file}')}}",
    "{{TABLE('{t}')}}", "{{error('{file}')}}", "{% include '{file}' %}", "{{''.__class__.__mro__}}", "{{{e}}}",
    "{{columns(x, '{e}')}}", "{{symbol(x, '{t}')}}", "{{tb_secret('outside')}}", "{{'a' * 1000000000}}",
    "{{sql_unescape(x, '{e}')}}", "{{tb_secret('CLICKPIPE_ADMIN_TOKEN')}}", "{{JSON(x, '{\"a\": 1}')}}",
)  # fmt: skip
VALUES = (
    "{file}", "'{file}'", "$CLICKPIPE_CANARY", "${CLICKPIPE_CANARY}", "{{ tb_secret('CLICKPIPE_CANARY') }}", "", "x; y", "\0",
    "127.0.0.1:{port}", "{address}", "{foreign}.other", "s3://{file}", "file://{file}", "@on-demand", "* * * * *", "other", "id",
    "{{ tb_secret('key') }}", "x' OR 1", "../../{file}", "{t}", "{e}", "99999999999999999999", "-1", "nope",
)  # fmt: skip

# Quiet ones. Texts stand between single quotes.
TEXTS = (
    "{file}", "-- FROM system.tables", "/* {t}", "*/ ; DROP TABLE x", "$h$ {t} $h$", "# {file}", "`", '\\"', "{address}", "\\'", "''", "%",
    "\\\\", "\\0", "“{foreign}”", "{foreign}.other", "INTO OUTFILE", "$CLICKPIPE_CANARY", "*", "..", "x) SETTINGS disk = ''x''",
    "a\\nb", "é\u202e", "canary",
)  # fmt: skip
QUIET_EXPRESSIONS = (
    "1", "now()", "toString('{x}')", "hex('{x}')", "length('{x}')", "concat('{x}', '{x}')", "reverse('{file}')", "arrayMap(x -> x, [1])",
    "materialize(1)", "(SELECT 1)", "(SELECT max(number) FROM numbers(3))", "(SELECT dummy FROM system.one)", "ignore('{x}')", "rand() % 1",
    "tuple(1, 'a').1", "if(1, '{x}', '')", "toInt64OrZero('{x}')", "JSONExtractString('{x}', 'a')", "base64Encode('{x}')", "NULL",
    "CAST('{x}' AS Nullable(String))", "throwIf(0, '{x}')", "path('{address}')", "extract('{x}', 'a')", "generateUUIDv4()", "version()",
    "1 /* {t} */", "1 /* /* {e} */ */", "[1, 2][1]", "map('a', '{x}')", "format('{}', '{x}')", "splitByChar(',', '{x}')",
)  # fmt: skip
QUIET_TABLES = (
    "(SELECT * FROM {old})", "{old} /* {t} */", "`{old}`", '"{old}"', "view(SELECT * FROM {old})", "{old} -- {t}\n   ",
    "(SELECT * FROM (SELECT * FROM {old}) WHERE 1)", "(WITH a AS (SELECT 1) SELECT * FROM {old})", "{old} /* {} */",
    "(SELECT * FROM {old} UNION ALL SELECT * FROM {old})", "(SELECT * FROM {old} LIMIT 0)",
)  # fmt: skip
QUIET_SQL = (
    "SELECT * FROM (\n    {old}\n    ) AS q", "{old} -- {t}", "{old} /* {t} */", "/* {e} */ {old}", "SELECT * FROM (\n    {old}\n    ) LIMIT 5",
    "SELECT * FROM (\n    {old}\n    ) WHERE '{x}' != 'y'", "WITH '{x}' AS text SELECT * FROM (\n    {old}\n    ) WHERE text != 'y'",
    "SELECT * FROM view(\n    {old}\n    )", "SELECT * FROM (\n    {old}\n    ) UNION ALL SELECT * FROM (\n    {old}\n    )",
)  # fmt: skip
QUIET_TAGS = (
    "'{{String(x, '{text}')}}' != ''", "{{String(word, '{text}', description='{text}')}} != ''", "{% if defined(x) %} 1 {% else %} 2 {% end %} = 1",
    "{% for a in range(3) %} 1 + {% end %} 1 = 4", "{{Int32(n, 1)}} = 1", "{{tb_secret('key')}} != ''", "{{String(x, required=False)}} != ''",
    "{{Array(xs, 'String', 'a,b')}} != ['']", "{{String(x, enum=['a', 'b'], default='a')}} != ''",
)  # fmt: skip
QUIET_TYPES = (
    "String", "LowCardinality(String)", "Nullable(String)", "Int64", "Float64", "Array(String)", "Map(String, String)", "JSON", "DateTime64(3)",
    "Enum8('{text}' = 1, 'b' = 2)", "Tuple(a String, `b c` Int8)", "Date", "UUID", "IPv6", "Decimal(10, 2)", "FixedString(8)", "Nullable(Int32)",
)  # fmt: skip
QUIET_DEFAULTS = ("'{x}'", "toString('{x}')", "concat('{x}', '{x}')", "''", "hex('{x}')", "lower('{x}')")
QUIET_KEYS = ("tuple()", "{old}, tuple()", "({old})", "{old}, 1")
QUIET_SETTINGS = (
    "index_granularity=1024", "index_granularity=8192, ttl_only_drop_parts=1", "merge_with_ttl_timeout=86400", "min_bytes_for_wide_part=0",
)  # fmt: skip
COLUMNS = (
    "    `{x}` String `json:$.more` DEFAULT '{x}',\n", "    `with blank` String `json:$.more`,\n", "    `semi;colon` String `json:$.a['{x}']` DEFAULT '{x}',\n",
    "    `/*` Int8 `json:$.more` DEFAULT 1,\n", "    `file` String `json:$.more` DEFAULT '{file}',\n", "    `a.b` Nullable(String) `json:$.more`,\n", "    `select` UInt8 DEFAULT 1,\n",
    "    more LowCardinality(String) DEFAULT '{x}', -- {t}\n", "    more Enum8('{x}' = 1, 'b' = 2) DEFAULT 'b', # {file}\n", "    more DateTime `json:$.more` DEFAULT now(),\n",
    "    more Tuple(a String, `{x}` Int8) `json:$.more`,\n", "    more JSON `json:$.more`,\n", "    more Array(String) DEFAULT ['{x}'] `json:$.more[:]`,\n", "    more Map(String, String) `json:$.more`,\n",
)  # fmt: skip
QUIET_LINES = (
    "DESCRIPTION {file} $CLICKPIPE_CANARY", "TAGS {file}, ../x, 'a'", 'TOKEN "{file}" READ', 'TOKEN "../x; DROP" READ', "DESCRIPTION >\n    /* {t}\n    -- $CLICKPIPE_CANARY",
    'TAGS "a"', "# {{tb_secret('key')}} {file}", "TOKEN ${CLICKPIPE_CANARY} READ",
)  # fmt: skip
OF_DATA_SOURCES = (
    "INDEXES >\n    by_x ('{x}') TYPE minmax", "SHARED_WITH other_tenant", "BACKFILL skip", "SHARED_WITH >\n    {foreign}, other_tenant", "ENGINE_SETTINGS index_granularity=64",
    "IMPORT_CONNECTION_NAME c\nIMPORT_BUCKET_URI {file}\nIMPORT_SCHEDULE @auto", "ENGINE_TTL now() + toIntervalDay(1)", "IMPORT_SERVICE bigquery\nIMPORT_QUERY >\n    {sql}",
)  # fmt: skip
OF_PIPES = (
    "NODE more\nSQL >\n    SELECT {q} AS more FROM numbers(2)", "NODE more\nDESCRIPTION {file}\nSQL >\n    %\n    SELECT 1 AS a WHERE {tag}", "FILTER {e}", "CACHE 10",
    "NODE `more`\nSQL >\n    SELECT {q} AS `{x}`",
)  # fmt: skip
PIPES = (
    "NODE n\nSQL >\n    SELECT {q} AS v, {q} AS w\nTYPE endpoint\n", "TOKEN reader READ\nNODE n\nSQL >\n    %\n    SELECT {q} AS v, {tag} AS t FROM numbers(3)\nTYPE endpoint\n",
    "NODE n\nSQL >\n    SELECT * FROM generateRandom('a String, b Array(Int8)', 1, 10, 2) LIMIT 3\nTYPE endpoint\n", "NODE n\nSQL >\n    {sql}\nTYPE endpoint\n",
    "NODE n\nSQL >\n    SELECT * FROM tinybird.pipe_stats_rt\nTYPE endpoint\n", "NODE n\nSQL >\n    SELECT * FROM tinybird.jobs_log, tinybird.endpoint_errors\nTYPE endpoint\n",
    "NODE n\nSQL >\n    SELECT * FROM values('a String', '{x}', '{x}')\nTYPE endpoint\n", "NODE n\nSQL >\n    %\n    SELECT toInt32({{tb_secret('key')}}) AS v\nTYPE endpoint\n",
    "NODE n\nSQL >\n    SELECT * FROM {t}\nTYPE copy\nTARGET_DATASOURCE copied_to\n", "NODE n\nSQL >\n    SELECT {q} AS v\nTYPE sink\nEXPORT_CONNECTION_NAME c\nEXPORT_BUCKET_URI {file}\n",
    "NODE n\nSQL >\n    SELECT toInt32('{x}') AS v, toDate('{file}') AS w\nTYPE endpoint\n", "NODE n\nSQL >\n    %\n    SELECT 1 AS v WHERE {tag} AND {tag}\nTYPE endpoint\n",
)  # fmt: skip
FILE_NAMES = (
    "../out", "datasources/../../x", "pipes/" + "a" * 300, "pipes/;x", "pipes/ü", "pipes/more", "/etc/x", "pipes/a b", "vendor/other_tenant/pipes/x", "other_tenant.other",
)  # fmt: skip
OTHER_FILES = (
    "clickpipe.toml", ".env", ".env.local", "fixtures/events.ndjson", "x.incl", "tests/x.yaml", "datasources/other_tenant.other.datasource", "__init__.py",
)  # fmt: skip
