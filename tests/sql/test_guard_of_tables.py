"""The wall before a data source's definition: what it may compute, its codecs, indexes and settings."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine
from clickpipe.sql import MeantColumn, MeantTable, check_create


@pytest.mark.parametrize(
    ("default", "fine"),
    [
        ("1", True),
        ("now()", True),
        ("file('/etc/passwd')", False),
        ("(SELECT max(a) FROM ws_2.secret)", False),
        ("a IN ws_2.secret", False),
        ("a IN (SELECT 1)", False),
        ("a IN (1, 2)", True),
        ("a IN t", False),
        ("a IN `/etc/passwd`", False),
        ("globalNotIn(a, t)", False),
        ("joinGet('ws_2.j', 'v', a)", False),
        ("joinGet('j', 'v', a)", False),
        ("JOINGETORNULL(j, 'v', a)", False),
        ("1 TTL t + INTERVAL 1 DAY", False),
        ("1, c String", False),
        ("1 COMMENT 'x'", False),
    ],
)
def test_a_data_source_computes_its_defaults_from_its_own_columns(engine: Engine, default: str, *, fine: bool) -> None:
    ddl = f"CREATE TABLE ws_1.t (a Int8, b UInt8 DEFAULT {default}, t DateTime) ENGINE = MergeTree ORDER BY a"
    columns = [MeantColumn("a"), MeantColumn("b", default=True), MeantColumn("t")]
    meant = MeantTable(columns, "MergeTree", frozenset({"SORTING_KEY"}), texts={"The DEFAULT": default})
    assert (check_create(engine.syntax_tree(ddl), meant) is None) is fine


# Wherever ClickHouse takes an expression: in the schema, and behind the engine with what that is called.
_INDEX = "s String, INDEX i {0} GRANULARITY 1"
_TEXT = "s String, INDEX i s TYPE text({0}) GRANULARITY 100000000"
_PLACES: tuple[tuple[str, str, set[str]], ...] = (
    ("s String DEFAULT {0}", "ORDER BY a", set()),
    (_INDEX.format("{0} TYPE minmax"), "ORDER BY a", set()),
    (_INDEX.format("s TYPE minmax({0})"), "ORDER BY a", set()),
    (_INDEX.format("s TYPE set(length({0}))"), "ORDER BY a", set()),
    (_TEXT.format("tokenizer = splitByNonAlpha, preprocessor = {0}"), "ORDER BY a", set()),
    (_TEXT.format("tokenizer = ngrams(length({0}))"), "ORDER BY a", set()),
    ("s String", "ORDER BY (a, {0})", set()),
    ("s String", "PARTITION BY {0} ORDER BY a", {"PARTITION_KEY"}),
    ("s String", "PRIMARY KEY {0} ORDER BY a", {"PRIMARY_KEY"}),
    ("s String", "ORDER BY a SAMPLE BY {0}", {"SAMPLING_KEY"}),
    ("s String", "ORDER BY a TTL t + toIntervalDay(length({0}))", {"TTL"}),
    ("s String", "ORDER BY a TTL t DELETE WHERE {0} = 'a'", {"TTL"}),
    ("s String", "ORDER BY a TTL t GROUP BY a SET s = any({0})", {"TTL"}),
    ("s String", "ORDER BY a TTL t + INTERVAL 1 DAY RECOMPRESS CODEC(LZ4), t DELETE WHERE {0} = ''", {"TTL"}),
)


@pytest.mark.parametrize(("schema", "keys", "clauses"), _PLACES)
def test_nothing_of_a_data_source_computes_what_a_query_may_not(
    engine: Engine, schema: str, keys: str, clauses: set[str]
) -> None:
    """A part of a definition that nobody looks at runs, too."""

    def refusal(computed: str) -> object:
        text = f"concat(s, {computed})"
        columns = f"a Int8, t DateTime, {schema.format(text)}"
        ddl = f"CREATE TABLE ws_1.t ({columns}) ENGINE = MergeTree {keys.format(text)}"
        meant = [MeantColumn("a"), MeantColumn("t"), MeantColumn("s", default="DEFAULT" in schema)]
        index = [("i", 100_000_000 if "text(" in schema else 1)] if "INDEX" in schema else []
        return check_create(
            engine.syntax_tree(ddl), MeantTable(meant, "MergeTree", frozenset({"SORTING_KEY", *clauses}), index)
        )

    assert refusal("lower('x')") is None
    for hidden in (
        *("(SELECT max(s) FROM ws_2.secret)", "(SELECT file('/etc/passwd'))", "toString(a IN (SELECT 1))"),
        *("file('/etc/passwd')", "hostName()", "toString(sleep(3))", "dictGet('ws_2.d', 's', a)"),
        *("joinGet('ws_2.j', 's', a)", "toString(a IN ws_2.secret)", "arrayMap(x -> file(x), [s])[1]"),
    ):
        assert refusal(hidden) is not None, hidden


@pytest.mark.parametrize(
    ("codec", "fine"),
    [
        ("ZSTD(22)", True),
        ("Delta, LZ4", True),
        ("AES_128_GCM_SIV", False),
        ("ZSTD, AES_256_GCM_SIV", False),
        ("Encrypted('x')", False),
        ("ZSTD(length(file('/etc/passwd')))", False),
    ],
)
def test_codecs_are_those_of_a_list_wherever_they_stand(engine: Engine, codec: str, *, fine: bool) -> None:
    by_row = f"CREATE TABLE ws_1.t (a Int8 CODEC({codec}), t DateTime) ENGINE = MergeTree ORDER BY a"
    by_age = f"CREATE TABLE ws_1.t (a Int8, t DateTime) ENGINE = MergeTree ORDER BY a TTL t RECOMPRESS CODEC({codec})"
    for ddl, clauses in ((by_row, {"SORTING_KEY"}), (by_age, {"SORTING_KEY", "TTL"})):
        columns = [MeantColumn("a", codec=ddl is by_row), MeantColumn("t")]
        found = check_create(engine.syntax_tree(ddl), MeantTable(columns, "MergeTree", frozenset(clauses)))
        assert (found is None) is fine, ddl


@pytest.mark.parametrize(
    ("kind", "fine"),
    [
        ("tokenbf_v1(32768, 3, 0)", True),
        ("tokenbf_v1(16777216, 3, 9999999999)", True),
        ("tokenbf_v1(16777217, 3, 0)", False),
        ("tokenbf_v1(1000000000, 3, 7)", False),
        ("TokenBF_v1(1000000000, 3, 7)", False),
        ("tokenbf_v1(1e9, 3, 7)", False),
        ("tokenbf_v1(256, 1000000, 7)", False),
        ("ngrambf_v1(3, 65536, 2, 0)", True),
        ("ngrambf_v1(3, 1000000000, 20, 7)", False),
        ("vector_similarity('hnsw', 'L2Distance', 1536)", True),
        ("vector_similarity('hnsw', 'L2Distance', 4, 'bf16', 64, 128)", True),
        ("vector_similarity('hnsw', 'L2Distance', 4, 'bf16', 100000, 128)", False),
        ("set(0)", True),
        ("bloom_filter(0.01)", True),
        ("minmax", True),
    ],
)
def test_no_index_takes_the_memory_of_all(engine: Engine, kind: str, *, fine: bool) -> None:
    """A filter of a gigabyte is made for one row, and when a project is only checked."""
    ddl = f"CREATE TABLE ws_1.t (a String, INDEX i a TYPE {kind} GRANULARITY 1) ENGINE = MergeTree ORDER BY a"
    meant = MeantTable([MeantColumn("a")], "MergeTree", frozenset({"SORTING_KEY"}), [("i", 1)])
    assert (check_create(engine.syntax_tree(ddl), meant) is None) is fine


@pytest.mark.parametrize(
    ("setting", "fine"),
    [
        ("max_delay_to_insert = 1", True),
        ("max_delay_to_insert = '1'", True),
        ("max_delay_to_insert = 2", False),
        ("max_delay_to_insert = '3000'", False),
        ("max_delay_to_insert = -1", False),
        ("max_delay_to_insert = 1e9", False),
        ("max_delay_to_insert = 'inf'", False),
        ("max_delay_to_insert = 'nan'", False),
        ("max_delay_to_insert = '0xFFFF'", False),
        ("min_delay_to_insert_ms = 10", True),
        ("min_delay_to_insert_ms = 300000", False),
        ("max_delay_to_mutate_ms = 1000", True),
        ("max_delay_to_mutate_ms = 18446744073709551615", False),
        ("min_delay_to_mutate_ms = 60000", False),
        ("index_granularity = 1, max_delay_to_insert = 60", False),
        ("parts_to_delay_insert = 1", True),
    ],
)
def test_no_table_has_others_wait(engine: Engine, setting: str, *, fine: bool) -> None:
    """Inserts of all workspaces wait for one that ClickHouse delays."""
    ddl = f"CREATE TABLE ws_1.t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS {setting}"
    meant = MeantTable([MeantColumn("a")], "MergeTree", frozenset({"SORTING_KEY", "SETTINGS"}))
    assert (check_create(engine.syntax_tree(ddl), meant) is None) is fine
