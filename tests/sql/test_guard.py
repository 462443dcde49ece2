"""The wall before user SQL: the ways out that were thought of, and what has to go on working."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import check
from clickpipe.sql.allowed import names

TABLES = {"ws_1.orders"}

REFUSED = [
    # statements that are no SELECT
    "INSERT INTO ws_1.orders SELECT 1",
    "CREATE TABLE ws_1.x (a Int8) ENGINE = Memory",
    "CREATE VIEW ws_1.v AS SELECT 1",
    "DROP TABLE ws_1.orders",
    "TRUNCATE TABLE ws_1.orders",
    "ALTER TABLE ws_1.orders DELETE WHERE 1",
    "RENAME TABLE ws_1.orders TO ws_1.b",
    "OPTIMIZE TABLE ws_1.orders",
    "SYSTEM FLUSH LOGS",
    "KILL QUERY WHERE 1",
    "GRANT ALL ON *.* TO default",
    "SET max_threads = 1",
    "USE system",
    "SHOW TABLES FROM ws_2",
    "SHOW CREATE TABLE ws_2.secret",
    "DESCRIBE TABLE ws_2.secret",
    "EXISTS TABLE ws_2.secret",
    "CHECK TABLE ws_2.secret",
    "EXPLAIN SELECT 1",
    "SELECT 1 PARALLEL WITH DROP TABLE ws_2.secret",
    # more than one statement
    "SELECT 1; DROP TABLE ws_1.orders",
    "SELECT 1;\n-- a comment\nSELECT 2",
    "SELECT 1 /* ; */ ; SELECT 2",
    # where the result goes, limits
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 INTO OUTFILE '/tmp/x' APPEND FORMAT CSV",
    "SELECT 1 FORMAT CSV",
    "(SELECT 1) FORMAT Null",
    "SELECT 1 UNION ALL SELECT 2 FORMAT CSV",
    "SELECT 1 EXCEPT SELECT 2 FORMAT CSV",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "SELECT 1 FORMAT CSV SETTINGS max_threads = 1",
    # table functions
    *(
        f"SELECT * FROM {call}"
        for call in (
            "file('/etc/passwd', 'LineAsString')",
            "FILE ('/etc/passwd')",
            "`file`('/etc/passwd')",
            "/* a */ file /* b */ ('/etc/passwd')",
            "url('http://127.0.0.1/', 'CSV')",
            "s3('http://127.0.0.1/x', 'CSV')",
            "remote('127.0.0.1', ws_2.secret)",
            "remoteSecure('127.0.0.1', ws_2, secret)",
            "cluster('default', ws_2.secret)",
            "clusterAllReplicas('default', 'ws_2', 'secret')",
            "mysql('127.0.0.1:3306', 'a', 'b', 'c', 'd')",
            "postgresql('127.0.0.1:5432', 'a', 'b', 'c', 'd')",
            "sqlite('/srv/catalog.sqlite', 'tokens')",
            "executable('script', 'CSV', 'a String')",
            "merge('ws_2', '.*')",
            "loop(ws_2.secret)",
            "input('a String')",
            "dictionary('d')",
            "python('x')",
            "format(CSV, '1')",
            "mergeTreeIndex('ws_2', 'secret')",
            "viewIfPermitted(SELECT * FROM ws_1.orders ELSE null('a Int8'))",
            "view(SELECT * FROM ws_2.secret)",
            "view(SELECT * FROM view(SELECT * FROM url('http://127.0.0.1/')))",
            "(EXPLAIN SELECT 1)",
            # columns that compute something
            r"values('a Int8, b String ALIAS file(\'/etc/passwd\')', 1)",
            r"values('a Int8, b String' || ' ALIAS file(\'/etc/passwd\')', 1)",
            r"values('a Int8 COMMENT \'(alias \', b String ALIAS file(\'/etc/passwd\')' AS q, 1)",
            r"VALUES('a Int8, b String\tALIAS\tfile(\'/etc/passwd\')', 1)",
            r"generateRandom('a Int8, b String alias file(\'/etc/passwd\')')",
            r"null('a String DEFAULT file(\'/etc/passwd\')')",
        )
    ),
    "WITH 'a Int8, b String ALIAS 1' AS s SELECT b FROM values(s, 1)",
    # tables of others, wherever they hide
    *(
        sql.replace("other", "ws_2.secret")
        for sql in (
            "SELECT * FROM other",
            "FROM other SELECT *",
            "SELECT * FROM/**/ws_2\n.\n`secret`",
            'SELECT * FROM "ws_2"."secret" AS orders',
            "SELECT * FROM system.tables",
            "SELECT * FROM clickpipe_spool.lines_0",
            "SELECT * FROM clickpipe_staged.any",
            "SELECT * FROM ws_1_service.block_log",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM other AS `x) (children 1)`",
            "SELECT * FROM ws_1.orders, other",
            "SELECT * FROM ws_1.orders JOIN other USING a",
            "SELECT * FROM (SELECT * FROM (SELECT * FROM other))",
            "SELECT 1 UNION ALL (SELECT 2 UNION DISTINCT SELECT * FROM other)",
            "SELECT 1 INTERSECT SELECT * FROM other",
            "WITH x AS (SELECT * FROM other) SELECT * FROM x",
            "WITH (SELECT max(a) FROM other) AS m SELECT m",
            "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM other) SELECT * FROM r",
            "WITH secret AS (SELECT 1) SELECT * FROM other",
            "SELECT (SELECT max(a) FROM other)",
            "SELECT * FROM ws_1.orders WHERE EXISTS (SELECT 1 FROM other)",
            "SELECT 1 = ANY (SELECT a FROM other)",
            "SELECT arrayMap(x -> (SELECT max(a) FROM other), [1])",
            "SELECT * REPLACE ((SELECT max(a) FROM other) AS a) FROM ws_1.orders",
            "SELECT sum(a) OVER (PARTITION BY (SELECT max(a) FROM other)) FROM ws_1.orders",
            "SELECT 1 LIMIT (SELECT max(a) FROM other)",
            "SELECT 1 IN other",
            "SELECT 1 not in (other)",
            "SELECT in(1, other)",
            "SELECT globalNotIn(1, other)",
            "SELECT arrayFilter(x -> x IN other, [1])",
            "SELECT * FROM ws_1.orders PREWHERE (a, a) IN other",
            "SELECT (1 AS `a\nb`) IN other",
            "SELECT 1 IN {t:Identifier}",
            "SELECT * FROM {t:Identifier}",
            "SELECT " + "(1 + " * 300 + "(SELECT max(a) FROM other)" + ")" * 300,
            "SELECT * FROM ws_1.orders AS `o\n    TableIdentifier ws_1.orders`, other",
            # functions that take a name, or tell of the machine
            "SELECT file('/etc/passwd')",
            "SELECT file('/etc/passwd') AS `a\nb`",
            "SELECT file('/etc/passwd') AS `a\u2028b`",
            "SELECT file('/etc/passwd') AS `a\rb`",
            "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
            "SELECT * APPLY file FROM (SELECT '/etc/passwd')",
            "SELECT * APPLY (x -> x IN other) FROM ws_1.orders",
            "SELECT dictGet('d', 'a', 1)",
            "SELECT dictGetOrDefault('d', 'a', 1, 2)",
            "SELECT dictHas('d', 1)",
            "SELECT naiveBayesClassifier('d', 'x')",
            "SELECT joinGet('ws_2.secret', 'a', 1)",
            "SELECT hasColumnInTable('ws_2', 'secret', 'a')",
            "SELECT getSetting('max_threads')",
            "SELECT getSettingOrDefault('max_threads', 1)",
            "SELECT fullHostName()",
            "SELECT current_database()",
            "SELECT user()",
            "SELECT sleep(3)",
            "SELECT aiGenerate('x', map('a', 'b'))",
            "SELECT __getScalar('x')",
        )
    ),
]

ALLOWED = [
    "SELECT 1",
    "SELECT 1;",
    "(SELECT 1)",
    "SELECT * FROM ws_1.orders",
    "SELECT o.* EXCEPT (a) REPLACE (b + 1 AS b) FROM `ws_1`.`orders` AS o",
    "SELECT COLUMNS('^a') FROM ws_1.orders",
    "WITH x AS (SELECT a FROM ws_1.orders) SELECT * FROM x WHERE a IN x",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
    "WITH toDate('2026-01-01') AS day SELECT day",
    "SELECT count() FROM ws_1.orders AS a LEFT JOIN ws_1.orders AS b ON a.a = b.a",
    "SELECT 1 UNION ALL SELECT 2",
    "SELECT 1 EXCEPT SELECT 2",
    "SELECT 'SELECT 1; DROP TABLE x; FROM ws_2.secret FORMAT CSV'",
    "SELECT 1 AS `file('/etc/passwd')`",
    "SELECT a AS file, a AS format FROM ws_1.orders",
    "SELECT 1 IN (1, 2), [1, 2] AS xs, 1 IN xs",
    "SELECT a FROM ws_1.orders WHERE a IN ws_1.orders AND b IN (SELECT b FROM ws_1.orders)",
    "SELECT arrayMap(x -> x + 1, [1]), quantiles(0.5, 0.9)(a) FROM ws_1.orders GROUP BY ALL",
    "SELECT sum(a) OVER (PARTITION BY b ORDER BY a ROWS UNBOUNDED PRECEDING) FROM ws_1.orders",
    "SELECT * FROM numbers(10) ORDER BY number WITH FILL STEP 2 LIMIT 3 BY number",
    "SELECT * FROM values('a Int8, b String', (1, 'an alias by default'))",
    "SELECT * FROM values((1, 'default'), (2, 'alias'))",
    "SELECT * FROM generateRandom('a Int8', 1) LIMIT 1",
    "SELECT * FROM view(SELECT * FROM ws_1.orders)",
    "SELECT name FROM system.functions",
    "-- a comment\nSELECT /* another */ 1 -- ; SELECT 2",
    "SELECT * APPLY sum, COLUMNS('a') APPLY(x -> x + 1) FROM ws_1.orders",
    "SELECT 1 AS `a\nb`, 2 AS `file('x')`",
    "SELECT a FROM ws_1.orders WHERE a = {a:String} AND b IN {b:Array(UInt8)} LIMIT {limit:UInt8}",
    "SELECT " + " + ".join(["a"] * 400) + " FROM ws_1.orders",
    "SELECT '\\'\\\\{}[]\"' FROM (SELECT " + " + ".join(["a"] * 400) + " FROM ws_1.orders)",
]


def refused(engine: Engine, sql: str, *, settings: bool = False) -> bool:
    try:
        return check(engine.syntax_tree(sql), TABLES, settings=settings) is not None
    except EngineError as error:  # the parser takes one statement only
        return error.name == "SYNTAX_ERROR"


@pytest.mark.parametrize("sql", REFUSED)
def test_no_way_out(engine: Engine, sql: str) -> None:
    assert refused(engine, sql)


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_select_over_what_was_given_may_run(engine: Engine, sql: str) -> None:
    assert check(engine.syntax_tree(sql), TABLES, settings=False) is None


def test_an_author_may_set_settings_of_a_query(engine: Engine) -> None:
    assert not refused(engine, "SELECT 1 SETTINGS max_threads = 1", settings=True)


def test_a_refusal_names_the_word_it_is_about(engine: Engine) -> None:
    refusal = check(engine.syntax_tree("SELECT * FROM Url('x')"), ())
    assert refusal is not None
    assert (refusal.message, refusal.word, refusal.statement) == (
        "The table function 'Url' is not allowed.",
        "Url",
        False,
    )


def test_every_function_and_setting_of_this_clickhouse_was_read(engine: Engine) -> None:
    """Names that a new ClickHouse has go into the lists of `sql/allowed`, after somebody read what they do."""
    for list_, sql in (
        ("functions", "SELECT DISTINCT lower(name) FROM system.functions"),
        ("settings", "SELECT name FROM system.settings"),
        ("table_settings", "SELECT name FROM system.merge_tree_settings"),
    ):
        found = set(engine.execute(sql, output="TSVRaw").body.decode().split())
        allowed, refused = names(list_), names(f"{list_}_refused")
        assert found - allowed - refused == set(), f"read these, then add them to {list_}.txt or {list_}_refused.txt"
        assert allowed & refused == set()
