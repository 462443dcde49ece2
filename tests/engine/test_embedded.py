"""ClickHouse in the process: values arrive whole, errors say where, nothing runs that should not."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from clickpipe.engine import EmbeddedEngine, Engine, EngineError, Param, ResultColumn, encode_param
from clickpipe.engine.encode import settings_clause

ID = "00000000-0000-4000-8000-000000000000"
TRICKY = st.text(st.one_of(st.sampled_from("\0\b\t\n\f\r\\'\"`{}$;N?é😀\u2028\ufeff"), st.characters(codec="utf-8")))


def value(engine: Engine, sql: str, **params: Param) -> Any:
    (row,) = json.loads(engine.execute(sql, params, output="JSONCompact").body)["data"]
    return row[0]


@settings(max_examples=50)
@given(s=TRICKY, items=st.lists(TRICKY, max_size=4), nested=st.lists(st.lists(TRICKY, max_size=2), max_size=2))
def test_texts_come_back_as_they_went(engine: Engine, s: str, items: list[str], nested: list[list[str]]) -> None:
    sql = "SELECT ({s:String}, {items:Array(String)}, {nested:Array(Array(String))})"
    assert value(engine, sql, s=s, items=items, nested=nested) == [s, items, nested]


@settings(max_examples=50)
@given(
    i=st.integers(-(2**63), 2**63 - 1),
    u=st.integers(0, 2**64 - 1),
    f=st.floats(allow_nan=False, allow_infinity=False),
    numbers=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
def test_numbers_come_back_as_they_went(engine: Engine, i: int, u: int, f: float, numbers: list[int]) -> None:
    sql = "SELECT ({i:Int64}, {u:UInt64}, {f:Float64}, {numbers:Array(Int64)})"
    found = value(engine, sql, i=i, u=u, f=f, numbers=numbers)
    assert found[:2] + found[3:] == [i, u, numbers]
    assert float(found[2]) == f


@pytest.mark.parametrize(
    ("param", "text"),
    [
        (True, "1"),
        (1.5, "1.5"),
        ("a\tb", "a\\tb"),
        (["o'b", "\\"], "['o\\'b','\\\\']"),
        ([], "[]"),
        ([[1], []], "[[1],[]]"),
    ],
)
def test_parameters_are_sent_as_clickhouse_reads_them(param: Param, text: str) -> None:
    assert encode_param(param) == text


def test_parameters_do_not_leak_into_the_next_query(engine: Engine) -> None:
    assert value(engine, "SELECT {a:String}", a="first") == "first"
    for _ in range(8):  # more than there are workers
        with pytest.raises(EngineError) as caught:
            engine.execute("SELECT {a:String}")
        assert caught.value.name == "UNKNOWN_QUERY_PARAMETER"
    assert value(engine, "SELECT {a:Int8}", a=2) == 2


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
@settings(max_examples=25)
def test_settings_are_quoted(engine: Engine, text: str) -> None:
    sql = "SELECT (getSetting('log_comment'), getSetting('max_block_size'))"
    found = engine.execute(sql, output="JSONCompact", settings={"log_comment": text, "max_block_size": 77}).body
    assert json.loads(found)["data"] == [[[text, 77]]]


def test_no_settings_are_no_clause() -> None:
    assert settings_clause({}) == settings_clause(None) == ""


def test_an_error_has_name_number_and_place(engine: Engine) -> None:
    with pytest.raises(EngineError) as caught:
        engine.execute("SELECT 'é' FROM (")
    assert (caught.value.name, caught.value.code) == ("SYNTAX_ERROR", 62)
    assert caught.value.offset == len("SELECT 'é' FROM (".encode())
    with pytest.raises(EngineError) as caught:
        engine.execute("SELECT nothing")
    error = caught.value
    assert (error.name, error.code, error.offset) == ("UNKNOWN_IDENTIFIER", 47, None)
    assert error.message.startswith("Unknown expression identifier `nothing`")


def test_what_clickhouse_does_not_say_in_its_form_is_kept() -> None:
    error = EngineError("out of luck")
    assert (error.name, error.code, error.message, error.offset) == ("", 0, "out of luck", None)


def test_a_query_tells_what_it_read(engine: Engine) -> None:
    result = engine.execute("SELECT sum(number) FROM numbers(1000)", output="TSV")
    assert (result.body, result.rows_read) == (b"499500\n", 1000)


def test_an_insert_with_the_same_token_is_made_once_through_a_view_too(engine: Engine, database: str) -> None:
    window = "ORDER BY tuple() SETTINGS non_replicated_deduplication_window = 100"
    engine.execute(f"CREATE TABLE {database}.rows (s String) ENGINE = MergeTree {window}")
    engine.execute(f"CREATE TABLE {database}.sizes (n UInt64) ENGINE = MergeTree {window}")
    engine.execute(
        f"CREATE MATERIALIZED VIEW {database}.v TO {database}.sizes AS SELECT length(s) AS n FROM {database}.rows"
    )
    for token in ("one", "one", "two"):
        with engine.lines([(ID, "é\nb".encode())]) as lines:
            statement = f"INSERT INTO {database}.rows (s) SELECT document FROM {lines}"
            engine.execute(statement, settings={"insert_deduplication_token": token})
    assert value(engine, f"SELECT arraySort(groupArray(s)) FROM {database}.rows") == ["b", "b", "é", "é"]
    assert value(engine, f"SELECT arraySort(groupArray(n)) FROM {database}.sizes") == [1, 1, 2, 2]


def test_an_insert_that_fails_says_so(engine: Engine, database: str) -> None:
    engine.execute(f"CREATE TABLE {database}.t (n Int8) ENGINE = Memory")
    for table in ("t", "missing"):
        with engine.lines([(ID, b"1\nx")]) as lines, pytest.raises(EngineError):
            engine.execute(f"INSERT INTO {database}.{table} SELECT toInt8(document) FROM {lines}")
    assert value(engine, f"SELECT count() FROM {database}.t") == 0


def test_describe_gives_names_and_types_without_running(engine: Engine) -> None:
    sql = "SELECT {n:Int32} AS n, ['a'] AS tags, throwIf(number > 0) AS boom FROM numbers(5) -- a comment"
    assert engine.describe(sql, {"n": 1}) == [
        ResultColumn("n", "Int32"),
        ResultColumn("tags", "Array(String)"),
        ResultColumn("boom", "UInt8"),
    ]


@pytest.mark.parametrize(
    ("sql", "tree"),
    [
        ("INSERT INTO {t} VALUES (1)", "Other"),
        ("DROP TABLE {t}", "DropQuery"),
        ("SELECT 1; DROP TABLE {t}", None),
        ("SELECT 1;;\n--\nDROP TABLE {t}", None),
        ("CREATE TABLE {t}2 (n Int8) ENGINE = Memory", "CreateQuery"),
        ("SELECT throwIf(1)", "SelectWithUnionQuery"),
        ("INSERT INTO {t} VALUES (1); DROP TABLE {t}", "Other"),
        ("SELECT 1 AS `a\nb`", "SelectWithUnionQuery"),
        ("DESCRIBE TABLE {t}", "Other"),
        ("SELECT ((", None),
        ("", None),
    ],
)
def test_a_syntax_tree_runs_nothing(engine: Engine, database: str, sql: str, tree: str | None) -> None:
    engine.execute(f"CREATE TABLE {database}.t (n Int8) ENGINE = Memory")
    text = sql.replace("{t}", f"{database}.t")
    if tree is None:
        with pytest.raises(EngineError) as caught:
            engine.syntax_tree(text)
        assert caught.value.name == "SYNTAX_ERROR"
    else:
        assert json.loads(engine.syntax_tree(text))["type"] == tree
    assert value(engine, f"SELECT groupArray(name) FROM system.tables WHERE database = '{database}'") == ["t"]
    assert value(engine, f"SELECT count() FROM {database}.t") == 0


@pytest.mark.parametrize(
    "source",
    [
        "file('/etc/passwd', 'LineAsString')",
        "url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "s3('http://127.0.0.1:1/bucket/x', 'CSV', 'a String')",
        "remote('127.0.0.1', 'system.one')",
        "mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
        "sqlite('/tmp/x', 'a')",
        "default.`/etc/passwd`",
    ],
)
def test_the_engine_itself_opens_no_file_and_no_connection(engine: Engine, source: str) -> None:
    with pytest.raises(EngineError) as caught:
        engine.execute(f"SELECT * FROM {source}")
    assert caught.value.name == "ACCESS_DENIED"


def test_threads_get_their_own_answers(engine: Engine) -> None:
    barrier = threading.Barrier(4)

    def ask(n: int) -> list[int]:
        barrier.wait()
        return [value(engine, "SELECT {n:Int32} + number FROM numbers({n:Int32}, 1)", n=n) for n in range(n, n + 20)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(0, 400, 100))) == [
            [2 * n for n in range(k, k + 20)] for k in range(0, 400, 100)
        ]


def test_submitted_queries_run_side_by_side(engine: Engine) -> None:
    futures = [engine.submit("SELECT {n:Int8}", {"n": n}, output="TSV") for n in range(10)]
    assert [f.result().body for f in futures] == [b"%d\n" % n for n in range(10)]


def test_a_failed_query_leaves_nothing_for_the_next() -> None:
    engine = EmbeddedEngine(workers=1)
    try:
        with pytest.raises(EngineError):
            engine.execute("SELECT number, throwIf(number = 200000) FROM numbers(300000)", output="JSONEachRow")
        assert engine.execute("SELECT 4 AS four", output="JSONEachRow").body == b'{"four":4}\n'
    finally:
        engine.close()


@given(st.lists(st.lists(st.binary(min_size=1).filter(lambda b: b"\n" not in b), min_size=1), min_size=1, max_size=4))
def test_lines_arrive_as_they_are_under_their_import_ids(engine: Engine, batches: list[list[bytes]]) -> None:
    ids = [f"{ID[:-1]}{number}" for number in range(len(batches))]
    given = [(import_id, b"\n".join(lines)) for import_id, lines in zip(ids, batches, strict=True)]
    with engine.lines(given) as lines:
        found = value(engine, f"SELECT arraySort(groupArray((import_id, hex(document)))) FROM {lines}")
    sent = [[i, line.hex().upper()] for i, lines_ in zip(ids, batches, strict=True) for line in lines_]
    assert found == sorted(sent)


def test_what_a_view_raises_is_the_inserts_error(engine: Engine, database: str) -> None:
    engine.execute(f"CREATE TABLE {database}.source (n Int64) ENGINE = MergeTree ORDER BY n")
    engine.execute(f"CREATE TABLE {database}.target (n Int64) ENGINE = MergeTree ORDER BY n")
    select = f"SELECT n FROM {database}.source WHERE throwIf(n > 100) = 0"
    engine.execute(f"CREATE MATERIALIZED VIEW {database}.view TO {database}.target AS {select}")
    with engine.lines([(ID, b"1\n101")]) as lines, pytest.raises(EngineError) as error:
        engine.execute(f"INSERT INTO {database}.source (n) SELECT toInt64(document) FROM {lines}")
    assert error.value.name == "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"


def test_a_join_that_ends_early_loses_nobody_rows(engine: Engine, database: str) -> None:
    """ClickHouse's cache of conditions kept of such a JOIN that there are no rows, for all who asked behind."""
    wide = "index_granularity = 2, min_bytes_for_wide_part = 0, min_rows_for_wide_part = 0"
    engine.execute(f"CREATE TABLE {database}.t (id UInt64, a String) ENGINE = MergeTree ORDER BY id SETTINGS {wide}")
    engine.execute(f"INSERT INTO {database}.t VALUES (0, 'x')")
    some = f"(SELECT id, a FROM {database}.t WHERE a = 'x' LIMIT 1000000)"
    for sql in (
        f"SELECT * FROM {some} AS l JOIN {some} AS r ON l.id = r.id WHERE r.id > 5",
        f"SELECT * FROM {some} AS l JOIN (SELECT toUInt64(7) AS id) AS r ON l.id = r.id",
        f"SELECT * FROM {some} LIMIT 0",
    ):
        engine.execute(sql)
        assert value(engine, f"SELECT count() FROM {database}.t WHERE a = 'x'") == 1
