"""Pieces of SQL that have fooled readers of SQL, here and elsewhere: what `sql_writer` puts together."""

from __future__ import annotations

WHOLE = (
    "SELECT * FROM ( # FROM %, ? AS z /*\n (SELECT 1, if(0,map(1),map())) ) --*/",
    'SELECT 1 AS "x FROM % y", if(0,map(1),map())',
    "SELECT * FROM ? z EXCEPT SELECT * FROM %",
    "EXPLAIN SELECT * FROM ?",
    "EXPLAIN AST SELECT * FROM ?",
    "DESCRIBE %",
    "SHOW TABLES",
    "SHOW CREATE TABLE %",
    "INSERT INTO % SELECT * FROM ?",
    "CREATE VIEW x AS SELECT * FROM ?",
    "SELECT COLUMNS('.*') EXCEPT (id) FROM ?",
    "SELECT COLUMNS('v.*') APPLY(toString) FROM ?",
    "SELECT * REPLACE (1 AS id) FROM ?",
    "(SELECT * FROM ?) INTERSECT (SELECT * FROM %)",
    "FROM ? SELECT *",
    "SELECT $h$ FROM % $h$, * FROM ?",
    "SELECT * FROM % AS t(a, b, c)",
    "SELECT * FROM view(SELECT * FROM ?)",
    "SELECT dummy FROM system.one WHERE (SELECT count() FROM ?) > 0",
    "SELECT * FROM values('a String', (SELECT any(val) FROM ?))",
    "SELECT throwIf(1, (SELECT any(val) FROM ?)::String) FROM %",
    "SELECT toUInt8(val) FROM ?",
    "SELECT * FROM numbers((SELECT count() FROM ?))",
)
TABLE_FUNCTIONS = (
    "file('{file}', 'RawBLOB')",
    "file('{file}')",
    "url('{address}', 'CSV', 'a String')",
    "merge('{database}', '.*')",
    "merge(REGEXP('.*'), '{table}')",
    "remote('127.0.0.1', '{name}')",
    "cluster('default', '{name}')",
    "numbers(3)",
    "view(SELECT * FROM {name})",
    "values('a String', '1')",
    "null('a String DEFAULT file(''{file}'')')",
    "generateRandom('a String', 1, 1, 1)",
    "executable('cat', 'TabSeparated', 'a String')",
    "input('a String')",
    "loop('{database}', '{table}')",
    "dictionary('{name}')",
    "mergeTreeIndex('{database}', '{table}')",
    "eval('SELECT 1')",
    "viewExplain('EXPLAIN', '', (SELECT * FROM {name}))",
    "sqlite('{file}', 't')",
    "python('x')",
    "filesystem('{file}')",
)
PLAIN = (
    *(
        "*",
        "id",
        "val",
        "tenant",
        "count()",
        "groupArray(val)",
        "max(val)",
        "any(tenant)",
        "1",
        "'a'",
        "z.*",
        "toString(tuple(*))",
    ),
    *(
        "_part",
        "_partition_id",
        "_partition_value",
        "_table",
        "_database",
        "_part_offset",
        "_sample_factor",
        "_block_number",
    ),
    *(
        "min(val)",
        "uniqExact(tenant)",
        "topK(3)(val)",
        "arraySort(groupArray(val))[1]",
        "{{x}}",
        "{x:String}",
        "{secret_key:String}",
    ),
)
CALLS = (
    *(
        "file('{file}')",
        "hex(file('{file}'))",
        "joinGet('{name}', 'val', 1)",
        "dictGet('{name}', 'val', 1)",
        "currentDatabase()",
    ),
    "hostName()",
    "getSetting('log_comment')",
    "getServerSetting('path')",
    "filesystemAvailable()",
    "currentUser()",
    *(
        "hasColumnInTable('', '{name}', 'val')",
        "version()",
        "showCertificate()",
        "queryID()",
        "tcpPort()",
        "toTypeName(val)",
    ),
    *(
        "throwIf(val != '', concat('x', 'y'))",
        "toUInt8(val)",
        "arrayMap(x -> val, [1])",
        "(x -> x)(val)",
        "lambda(tuple(x), x)(1)",
    ),
    *(
        "identity(val)",
        "formatRow('CSV', *)",
        "dumpColumnStructure(val)",
        "ignore(sleep(0))",
        "tokens(val)",
        "JSONExtractRaw(val)",
    ),
    *(
        "getClientHTTPHeader('authorization')",
        "aiGenerate('x', 'y')",
        "catboostEvaluate('{file}', 1)",
        "evalMLMethod(1)",
    ),
    *(
        "__getScalar('a')",
        "addressToLine(1)",
        "regionToName(1)",
        "structureToProtobufSchema('a String')",
        "sumIfStateMerge(1)",
    ),
)
WITH = (
    *(
        "(x -> x) AS hex",
        "((a, b) -> 1) AS equals",
        "(x -> 'x') AS toString",
        "1 AS tenant",
        "'globex' AS tenant",
        "'' AS val",
    ),
    "((a, b, c) -> c) AS HMAC",
    "events AS other",
    "(SELECT 1) AS events",
    "x -> x AS f",
)
SETTINGS = (
    *(
        "additional_table_filters = {'events': '1'}",
        "additional_table_filters = {}",
        "max_execution_time = 0",
        "readonly = 0",
    ),
    *(
        "additional_result_filter = '1'",
        "optimize_move_to_prewhere = 1",
        "log_comment = 'x'",
        "final = 1",
        "use_query_cache = 1",
    ),
    "allow_introspection_functions = 1",
    "apply_deleted_mask = 0",
    "dialect = 'kusto'",
    "max_result_rows = 0",
)
NOISE = (
    *(
        "# FROM other\n",
        "#!x\n",
        "-- FROM other\n",
        "/* FROM other */",
        "/* /* */ FROM other */",
        "$$ FROM other $$",
        "\u2018x\u2019",
        "\u201cval\u201d",
    ),
    *(
        "\u00a0",
        "\u200b",
        "\ufeff",
        "/**/",
        "//",
        "''",
        '""',
        "``",
        "AS `a FROM other`",
        "0x41",
        "1e400",
        "{a:Identifier}",
        "::String",
    ),
)
TEMPLATE = (
    *(
        "{{tb_secret('key')}}",
        "{% if defined(x) %}1{% end %}",
        "{{column('val')}}",
        "{{table('other')}}",
        "{{columns('val', 'val')}}",
    ),
    *(
        "{{String(x, 'a')}}",
        "{{symbol('events')}}",
        "{{sql_and(tenant=String(x, 'a'))}}",
        "{{x.__class__}}",
        "{{''|attr('x')}}",
    ),
)

# What passes the parser, and names nothing that every table does not have; odd all the same.
GOOD = (
    *(
        "*",
        "COLUMNS('.*')",
        "toString(tuple(*))",
        "1 AS id",
        "'globex' AS tenant",
        "$$a FROM other$$ AS h",
        "'' AS val",
    ),
    *("COLUMNS('.*') APPLY(toString)", "formatRow('CSV', *)", "(SELECT 1) AS sub", "[1, 2] AS list", "(x -> x)(1)"),
    *("arrayMap(x -> (x, 'FROM other'), [1])", "map('a', 1)['a']", "'\\' FROM other --' AS q", '1 AS "x FROM other y"'),
    *(
        "1 AS `events`",
        "tupleElement((1, 'a'), 2)",
        "* EXCEPT (nope)",
        "if(1, 'a', 'FROM other')",
        "CAST('1' AS UInt8)",
    ),
    *(
        "'a' || 'b'",
        "1::String",
        "NULL",
        "toTypeName(tuple(*))",
        "cityHash64(tuple(*))",
        "now() > 0",
        "_CAST(1, 'UInt8')",
    ),
    *(
        "row_number() OVER ()",
        "count() OVER ()",
        "length(toString(tuple(*)))",
        "JSONExtractRaw('{}')",
        "* REPLACE (1 AS x)",
    ),
)
ONE = ("1", "toString(tuple(*))", "count()", "'a'", "max(toString(tuple(*)))", "groupArray(tuple(*))")
GOOD_SOURCES = (
    *("numbers(3)", "values('a String', 'x')", "(SELECT 1 AS id)", "system.one", "generateSeries(1, 3)", "zeros(2)"),
    *(
        "(SELECT 'FROM other' AS val)",
        "view(SELECT 1 AS id)",
        "VALUES('a String, b UInt8', ('x', 1))",
        "null('a String')",
    ),
)
GOOD_JOINS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "ANY LEFT JOIN", "SEMI LEFT JOIN", "ANTI LEFT JOIN")
GOOD_ON = (
    *("ON 1 = 1", "ON toString(tuple(a.*)) = toString(tuple(b.*))", "USING id", "ON a.id = b.id", "ON a.id = b.id"),
    *("ON a.id = b.id AND a.id >= b.id", "USING (id)"),
)
GOOD_WITH = (
    *("1 AS tenant", "'globex' AS tenant", "'' AS val", "1 AS id", "(SELECT 1) AS events", "(SELECT 'x') AS hex"),
    *("RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3)", "[1] AS list", "NULL AS canary"),
    *("(SELECT count() FROM numbers(3)) AS n", "'FROM other' AS other", "unused AS (SELECT * FROM system.one)"),
)
CTES = ("events", "other", "mine", "n", "_", "z", "system.one", "cte", "ev\u0435nts", "own", "flat", "numbers")
GOOD_WHERE = (
    *("1", "1 OR 0", "NOT 0", "1 IN (1, 2)", "toString(tuple(*)) != ''", "length(toString(tuple(*))) > 2", "id >= 0"),
    *("EXISTS (SELECT 1)", "1 /* AND 0 */", "1 # AND 0\n", "'a' = $$a$$", "toString(tuple(*)) LIKE '%canary%'"),
    *("id IN (SELECT 0)", "1 = 1 -- OR\n", "throwIf(toString(tuple(*)) LIKE '%globex%') = 0", "ignore(*) = 0"),
)
GOOD_BEHIND = (
    *(" ORDER BY ALL", " LIMIT 1", " LIMIT 2 OFFSET 0", " ORDER BY 1", " ORDER BY 1 DESC LIMIT 5", " LIMIT 1 BY 1"),
    *(" UNION ALL SELECT * FROM (SELECT 1) WHERE 0", " QUALIFY 1", " LIMIT 1 WITH TIES"),
)
SPACES = (
    *("/* x */", "/* FROM other */", "/* ' */", "/* /* */ */", "-- '\n", "# FROM other\n", "\n", "\t", "\r\n", "/**/"),
    *("--\n", "#!x\n", '/* " */', "/* ` */", "/* $$ */", "\u00a0", "\u3000", "/* -- */", "-- /*\n", "\v"),
)
