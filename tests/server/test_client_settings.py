"""Settings that a client of ClickHouse sends change how its result is written: never what pipes and filters mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.query import client_settings
from clickpipe.query.client_settings import meaning
from clickpipe.runtime import Instance
from tests.server.conftest import Client, filled, make, sign

VISITS = """SCHEMA >
    `id` UInt32 `json:$.id`,
    `country` Nullable(String) `json:$.country`,
    `at` DateTime `json:$.at`,
    `open` Bool `json:$.open`,
    `days` Array(DateTime) `json:$.days`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "id"
"""
# A condition that gives the rows 1 and 2 of four, unless a setting changes what it means.
CONDITIONS = {
    "transform_null_in": ("1", "country NOT IN ('ES')"),
    "session_timezone": ("America/Los_Angeles", "at < '2026-01-02 00:00:00'"),
    "bool_true_representation": ("yes", "toString(open) != 'true'"),
    "bool_false_representation": ("no", "toString(open) = 'false' OR toString(open) != 'no' AND id < 3"),
    "date_time_output_format": ("unix_timestamp", "toString(days) NOT LIKE '%2026-02%'"),
    "output_format_json_quote_64bit_floats": ("1", "toJSONString([id / 2]) NOT IN ('[1.5]', '[2]')"),
}
PIPES = {
    **{f"p_{name}": f"SELECT id FROM visits WHERE {sql}" for name, (_, sql) in CONDITIONS.items()},
    "p_join_use_nulls": (
        "SELECT v.id AS id FROM visits AS v LEFT JOIN (SELECT id, 'x' AS kept FROM visits WHERE id > 2) AS k "
        "ON v.id = k.id WHERE NOT isNull(k.kept) AND k.kept = ''"
    ),
    "p_prefer_column_name_to_alias": ("SELECT id, if(id < 3, 'a', 'b') AS country FROM visits WHERE country = 'a'"),
}
SET = {name: value for name, (value, _) in CONDITIONS.items()} | {
    "join_use_nulls": "1",
    "prefer_column_name_to_alias": "1",
}
ROWS: list[dict[str, Any]] = [
    {"id": 1, "country": "FR", "at": "2026-01-01 00:00:00", "open": False, "days": ["2026-01-01 00:00:00"]},
    {"id": 2, "country": "DE", "at": "2026-01-01 23:00:00", "open": False, "days": ["2026-01-01 00:00:00"]},
    {"id": 3, "country": None, "at": "2026-01-02 01:00:00", "open": True, "days": ["2026-02-01 00:00:00"]},
    {"id": 4, "country": "ES", "at": "2026-01-02 02:00:00", "open": True, "days": ["2026-02-01 00:00:00"]},
]


@pytest.fixture(scope="module")
def visits(server_instance: Instance) -> Iterator[Client]:
    files = {"datasources/visits.datasource": VISITS} | {
        f"pipes/{name}.pipe": f"NODE n\nSQL >\n    {sql}\nTYPE endpoint\n" for name, sql in PIPES.items()
    }
    with filled(server_instance, "client_settings", files, {"visits": ROWS}) as client:
        yield client


def ask(client: Client, value: str, query: str, **settings: str) -> Any:
    return client("GET", "/", token=None, params={"query": query, **settings}, headers={"X-ClickHouse-Key": value})


def ids(reply: Any) -> list[int]:
    assert reply.status_code == 200, reply.text
    return sorted(int(line.partition("\t")[0]) for line in reply.text.split("\n") if line)


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_a_filter_means_the_same_whatever_is_set(visits: Client, name: str) -> None:
    value, condition = CONDITIONS[name]
    scope = {"type": "DATASOURCES:READ", "resource": "visits", "filter": condition}
    token = sign(visits, scope, name=name)
    whole = make(visits, "DATASOURCES:READ:visits", name=f"whole {name}")
    sql = "SELECT id FROM visits"
    before = ids(ask(visits, token, sql))
    assert before == [1, 2]
    own = f"SELECT id FROM visits WHERE {condition}"
    assert ids(ask(visits, whole, own, **{name: value})) != before  # so the setting would change it
    assert ids(ask(visits, token, sql, **{name: value})) == before
    assert ids(ask(visits, token, "SELECT id FROM (SELECT * FROM visits)", **{name: value})) == before
    for clause in (f"{sql} SETTINGS {name} = '{value}'", f"{sql} SETTINGS {name} = '{value}' FORMAT TSV"):
        reply = ask(visits, token, clause)
        assert (reply.status_code, name in reply.text) == (400, True), reply.text


@pytest.mark.parametrize("pipe", sorted(PIPES))
@pytest.mark.parametrize("limited", ["", "limited"])
def test_a_pipe_means_the_same_whatever_is_set(visits: Client, pipe: str, limited: str) -> None:
    name = pipe.removeprefix("p_")
    value = SET[name]
    scopes = [{"type": "PIPES:READ", "resource": pipe}]
    scopes += [{"type": "DATASOURCES:READ", "resource": "visits", "filter": "id < 100"}] if limited else []
    token = sign(visits, *scopes, name=f"{pipe} {limited}")
    sql = f"SELECT id FROM {pipe}"
    before = ids(ask(visits, token, sql))
    whole = visits.token("workspace admin token").value
    assert ids(ask(visits, whole, sql, **{name: value})) != before  # so the setting would change it
    for query in (sql, f"SELECT id FROM (SELECT * FROM {pipe})", f"WITH x AS (SELECT * FROM {pipe}) SELECT id FROM x"):
        assert ids(ask(visits, token, query, **{name: value})) == before
    assert ids(ask(visits, token, sql, **{name: value, "param_x": "1", "limit": "100"})) == before
    assert ask(visits, token, f"{sql} SETTINGS {name} = '{value}'").status_code == 400


def test_who_reads_everything_sets_what_he_likes(visits: Client) -> None:
    value = visits.token("workspace admin token").value
    assert ids(ask(visits, value, "SELECT id FROM p_transform_null_in", transform_null_in="1")) == [1, 2, 3]
    assert ids(ask(visits, value, "SELECT id FROM p_transform_null_in SETTINGS transform_null_in = 1")) == [1, 2, 3]


def test_what_only_writes_holds_for_all(visits: Client) -> None:
    token = make(visits, "PIPES:READ:p_transform_null_in", name="writes")
    sql = "SELECT id, id + 1 AS n FROM p_transform_null_in ORDER BY id FORMAT CSV"
    assert ask(visits, token, sql, format_csv_delimiter=";").text == "1;2\n2;3\n"
    assert ask(visits, token, f"{sql[:-11]} SETTINGS format_csv_delimiter = ';' FORMAT CSV").text == "1;2\n2;3\n"


# What functions make of values: of each kind of value that is written in several ways.
_VALUES = (
    *("toDateTime('2026-01-02 03:04:05', 'UTC')", "toDateTime64('2026-01-02 03:04:05.12', 2, 'UTC')", "true", "false"),
    *("toDecimal64('1.50', 4)", "1.25", "nan", "toFloat32(3)", "toUInt64(1)", "'a/b'", "NULL", "INTERVAL 1 DAY"),
    *("toDate('2026-01-02')", "CAST('a' AS Enum('a' = 1))", "toIPv4('1.2.3.4')", "toFixedString('a', 3)"),
    *("map('a', toUInt64(1))", "CAST((1, NULL) AS Tuple(a Int8, b Nullable(Int8)))"),
)
_NUMBERS = ("toInt64(toDateTime('2026-01-02 03:04:05'))", "toHour(toDateTime(0))", "1 IN (NULL)", "NULL NOT IN (1)")


def test_no_other_setting_changes_what_functions_give(server_instance: Instance) -> None:
    """A new ClickHouse may have more of them: these belong among those of `meaning`."""
    engine = server_instance.engine
    texts = [f"{f}({v})" for v in _VALUES for f in ("toString", "toJSONString")]
    texts += [f"toString({'[' + v + ']'})" for v in _VALUES[:12]] + [f"toString(tuple({v}))" for v in _VALUES[:12]]
    parts = ", ".join(f"ifNull({text}, 'NULL')" for text in texts + [f"toString({n})" for n in _NUMBERS])
    sql = f"SELECT hex(arrayStringConcat([{parts}], '|')) AS h"

    def run(**settings: Any) -> bytes:
        return engine.execute(sql, settings=settings, output="RawBLOB").body

    before, changing = run(), []
    for setting in client_settings(engine).values():
        flag = setting.type == "Bool" and not setting.ignored
        texted = setting.type == "String" and setting.name.endswith("_representation")
        number = setting.type == "UInt64" and setting.name.startswith("output_") and not setting.ignored
        values: tuple[Any, ...] = (0, 1) if flag else ("x",) if texted else (1,) if number else ()
        if any(run(**{setting.name: value}) != before for value in values):
            changing.append(setting.name)
    known = {"output_format_json_quote_64bit_integers", "output_format_json_quote_denormals"}  # of endpoints, too
    assert sorted(set(changing) - known) == sorted(meaning(changing))
    assert set(changing) - known
