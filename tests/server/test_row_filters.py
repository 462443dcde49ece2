"""A row filter holds in whatever is asked, and nothing that is answered tells of other rows: values, counts, errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from tests.server.conftest import Client, get, sign

TENANTS = ("acme", "globex", "initech")
SCHEMA = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `val` String `json:$.val`,
    `at` DateTime `json:$.at`

"""
FILES = {
    "datasources/parts.datasource": SCHEMA
    + 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/months.datasource": SCHEMA
    + 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "toYYYYMM(at)"\nENGINE_SORTING_KEY "id"\n',
    "datasources/newest.datasource": SCHEMA
    + 'ENGINE "ReplacingMergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/again.datasource": SCHEMA
    + 'ENGINE "ReplacingMergeTree"\nENGINE_PARTITION_KEY "tenant"\nENGINE_SORTING_KEY "tenant, id"\n',
    "datasources/names.datasource": SCHEMA
    + 'ENGINE "Join"\nENGINE_JOIN_STRICTNESS "ANY"\nENGINE_JOIN_TYPE "LEFT"\nENGINE_KEY_COLUMNS "id"\n',
    "datasources/versions.datasource": "VERSION 2\n\n" + SCHEMA + 'ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n',
    "pipes/plain.pipe": "NODE n\nSQL >\n    SELECT id, tenant, val, at FROM months\nTYPE endpoint\n",
    "pipes/joined.pipe": (
        "NODE n\nSQL >\n    SELECT n.val AS val FROM (SELECT toUInt64(number) AS id FROM numbers(9)) AS t "
        "ANY LEFT JOIN names AS n USING id\nTYPE endpoint\n"
    ),
    "pipes/fails.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT count() AS n FROM months WHERE toInt32(val) = {{Int32(x, 0)}}\n"
        "TYPE endpoint\n"
    ),
    "pipes/version.pipe": "NODE n\nSQL >\n    SELECT val FROM versions\nTYPE endpoint\n",
}
SOURCES = ("parts", "months", "newest", "names", "again")
PIPES = ("plain", "joined", "fails")
OTHERS = ("globex", "initech")


@pytest.fixture(scope="module")
def rows(server_instance: Instance) -> Iterator[Client]:
    """Three rows of `acme`, five of `globex`, seven of `initech` in each data source."""
    workspace = server_instance.workspaces.create("row_filters")
    empty = Client(server_instance, workspace)
    workspace.deploy(FILES)
    for name in (*SOURCES, "versions"):
        for number, tenant in enumerate(TENANTS):
            some = [
                {
                    "id": number * 100 + n,
                    "tenant": tenant,
                    "val": f"of-{tenant}-{n}",
                    "at": f"2026-0{number + 1}-01 00:00:00",
                }
                for n in range(3 + 2 * number)
            ]
            empty.workspace.append(name, [Lines.of(json.dumps(row).encode() for row in some)])
    again = {"id": 0, "tenant": "acme", "val": "later", "at": "2026-01-01 00:00:00"}
    workspace.append("again", [Lines.of([json.dumps(again).encode()])])
    yield empty
    server_instance.workspaces.delete(workspace)


def filtered(client: Client, *more: dict[str, Any]) -> str:
    scopes = [{"type": "DATASOURCES:READ", "resource": name, "filter": "tenant = 'acme'"} for name in SOURCES]
    scopes += [{"type": "PIPES:READ", "resource": name} for name in PIPES]
    return sign(client, *scopes, *more)


def ask(client: Client, value: str, q: str, **more: Any) -> Any:
    return get(client, "/v0/sql", value, q=q, **more)


# What would be another answer, or an error, were a row of others judged.
SAME = [
    "SELECT count() AS n FROM {t} WHERE throwIf(tenant = 'globex') = 0",
    "SELECT count() AS n FROM {t} WHERE throwIf(toYYYYMM(at) = 202602) = 0",
    "SELECT count() AS n FROM {t} WHERE intDiv(1, toYYYYMM(at) - 202602) <= 0 OR 1",
    "SELECT count() AS n FROM {t} WHERE NOT ignore(throwIf(toDate(at) > '2026-01-31'))",
    "SELECT count() AS n FROM {t} HAVING throwIf(max(id) > 3) = 0",
    "SELECT count() AS n FROM {t} WHERE if(tenant != 'acme', throwIf(1), 0) = 0",
    "SELECT count() AS n FROM {t} WHERE id IN (SELECT id FROM {t} WHERE throwIf(val LIKE '%globex%') = 0)",
    "SELECT count() AS n FROM {t} AS a JOIN {t} AS b ON a.id = b.id AND throwIf(b.tenant = 'globex') = 0",
    "SELECT count() AS n FROM {t} AS a JOIN (SELECT * FROM {t}) AS b ON a.id = b.id WHERE throwIf(b.id > 3) = 0",
    "WITH x AS (SELECT * FROM {t}) SELECT count() AS n FROM x WHERE throwIf(tenant = 'initech') = 0",
    "SELECT count() AS n FROM (SELECT throwIf(tenant = 'globex') AS t FROM {t} ORDER BY id)",
    "SELECT count() AS n FROM {t} WHERE toUInt8(id) = id AND accurateCast(id, 'UInt8') < 10",
    "SELECT count() AS n FROM {t} WHERE indexHint(throwIf(tenant = 'globex') = 0)",
    "SELECT uniqExact(tenant) + 2 AS n FROM {t}",
    "SELECT max(id) + 1 AS n FROM {t}",
    "SELECT count() AS n FROM {t} WHERE tenant IN ('acme', 'globex', 'initech')",
    "SELECT count() AS n FROM {t} WHERE (SELECT throwIf(max(id) > 3) FROM {t}) = 0",
    "SELECT sum(length(val) = length('of-acme-0')) AS n FROM {t}",
    "SELECT count() AS n FROM {t} AS z WHERE z.id < 1000 AND throwIf(z.id > 3) = 0 LIMIT 1 BY n",
    "SELECT count() AS n FROM {t} WHERE id IN (SELECT {t}.id FROM {t})",
]


@pytest.mark.parametrize("q", SAME)
def test_others_rows_are_neither_given_nor_judged(rows: Client, q: str) -> None:
    value = filtered(rows)
    for source in ("parts", "months", "newest", "names", "plain"):
        reply = ask(rows, value, q.replace("{t}", source))
        assert reply.status_code == 200, (source, reply.text)
        assert reply.json()["data"] == [{"n": 3}], source


VIRTUAL = (
    *("_part", "_part_index", "_part_offset", "_part_starting_offset", "_part_uuid", "_partition_id"),
    *("_partition_value", "_block_number", "_block_offset", "_row_exists", "_sample_factor", "_table", "_database"),
    *("_part_data_version", "_part_granule_offset", "_disk_name", "_distance", "_tags"),
)


@pytest.mark.parametrize("column", VIRTUAL)
def test_virtual_columns_are_none_of_his(rows: Client, column: str) -> None:
    """They are evaluated for the parts of all, and tell where a row stands among others."""
    value = filtered(rows)
    for source in ("parts", "months", "newest"):
        for q in (
            f"SELECT {column} FROM {source}",
            f"SELECT count() FROM {source} WHERE throwIf(toString({column}) LIKE '%2%') = 0",
            f"SELECT count() FROM {source} AS z WHERE z.{column} IS NOT NULL",
            f"SELECT id FROM {source} ORDER BY {column}",
            f"SELECT `{column}` AS x FROM (SELECT *, {column} FROM {source})",
        ):
            reply = ask(rows, value, q)
            assert reply.status_code == 400, (q, reply.text)
            assert "UNKNOWN_IDENTIFIER" in reply.text, (q, reply.text)
            assert not any(other in reply.text for other in OTHERS)
    whole = rows.token(ADMIN_TOKEN).value
    assert ask(rows, whole, "SELECT uniqExact(_part) AS n FROM parts").json()["data"] == [{"n": 3}]


JOINED = [
    "SELECT any(n.val) AS v FROM (SELECT toUInt64(100) AS id) AS t ANY LEFT JOIN names AS n USING id",
    "SELECT any(names.val) AS v FROM (SELECT toUInt64(100) AS id) AS t ANY LEFT JOIN names USING (id)",
    "SELECT any(val) AS v FROM (SELECT toUInt64(200) AS id) ANY LEFT JOIN names USING id",
    "SELECT any(n.val) AS v FROM (SELECT toUInt64(100) AS id) AS t LEFT ANY JOIN names AS n ON t.id = n.id",
    "SELECT any(n.val) AS v FROM (SELECT arrayJoin([100, 200])::UInt64 AS id) t ANY LEFT JOIN `names` AS n USING id",
    "SELECT any(v) AS v FROM (SELECT n.val AS v FROM numbers(100, 9) AS t ANY LEFT JOIN names AS n ON t.number = n.id)",
    "WITH k AS (SELECT toUInt64(100) AS id) SELECT any(n.val) AS v FROM k ANY LEFT JOIN names AS n USING id",
    "SELECT any(n.val) AS v FROM (SELECT toUInt64(100) AS id) AS t GLOBAL ANY LEFT JOIN names AS n USING id",
    "SELECT max(tenant) = 'acme' ? '' : 'x' AS v FROM names",
    "SELECT if(100 IN (SELECT id FROM names), 'x', '') AS v",
    "SELECT if((100, 'globex') IN (SELECT id, tenant FROM names), 'x', '') AS v",
]


@pytest.mark.parametrize("q", JOINED)
def test_a_join_table_gives_its_own_rows_on_the_right_too(rows: Client, q: str) -> None:
    reply = ask(rows, filtered(rows), q)
    assert reply.status_code == 200, reply.text
    assert reply.json()["data"] == [{"v": ""}]


@pytest.mark.parametrize(
    "q",
    [
        "SELECT joinGet('names', 'val', toUInt64(100))",
        "SELECT joinGet(names, 'val', toUInt64(100))",
        "SELECT joinGetOrNull('names', 'val', toUInt64(100))",
        "SELECT * FROM joined",
        "SELECT count() FROM (SELECT * FROM joined)",
        "SELECT 1 WHERE 'of-globex-0' IN joined",
        "SELECT 1 WHERE 'of-globex-0' IN (SELECT val FROM joined)",
    ],
)
def test_a_join_table_that_a_filter_cannot_hold_for_is_refused(rows: Client, q: str) -> None:
    reply = ask(rows, filtered(rows), q)
    assert reply.status_code == 403, reply.text
    assert not any(other in reply.text for other in OTHERS)


def test_endpoints_over_join_tables_are_refused_too(rows: Client) -> None:
    value = filtered(rows)
    assert get(rows, "/v0/pipes/joined.json", value).status_code == 403
    whole = rows.token(ADMIN_TOKEN).value
    assert "of-acme-0" in get(rows, "/v0/pipes/joined.json", whole).text
    assert get(rows, "/v0/pipes/plain.json", value).json()["rows"] == 3


FINAL = [
    "SELECT count() AS n FROM again FINAL",
    "SELECT count() AS n FROM again AS z FINAL WHERE throwIf(z.tenant = 'globex') = 0",
    "SELECT count() AS n FROM again z final WHERE z.id < 50",
    "SELECT count() AS n FROM again /* FINAL */ FINAL",
    "SELECT count() AS n FROM (SELECT id AS final FROM again FINAL) WHERE final < 5",
    "SELECT count() AS n FROM again FINAL JOIN months ON again.id = months.id",
    "SELECT count() AS n FROM months JOIN again FINAL ON again.id = months.id",
    "SELECT count() AS n FROM again AS a FINAL JOIN again AS b FINAL ON a.id = b.id WHERE throwIf(b.id > 9) = 0",
    "WITH 'FINAL' AS x SELECT count() AS n FROM again FINAL WHERE x = 'FINAL'",
    "SELECT sum(n) AS n FROM (SELECT count() AS n FROM again FINAL UNION ALL SELECT 0 AS n FROM months WHERE 0)",
    "SELECT count() AS n FROM `again` AS `FINAL` FINAL",
]


@pytest.mark.parametrize("q", FINAL)
def test_final_goes_with_the_table(rows: Client, q: str) -> None:
    reply = ask(rows, filtered(rows), q)
    assert reply.status_code == 200, reply.text
    assert reply.json()["data"] == [{"n": 3}]


@pytest.mark.parametrize(
    "q",
    [
        "SELECT id FROM months PREWHERE throwIf(tenant = 'globex') = 0",
        "SELECT id FROM months SAMPLE 1/2",
        "SELECT id FROM months WHERE 1 SETTINGS optimize_move_to_prewhere = 1",
        "SELECT id FROM months WHERE 1 SETTINGS additional_table_filters = {}",
        "SELECT id FROM months FORMAT JSONEachRowWithProgress",
        "SELECT id FROM months_quarantine",
        "SELECT id FROM merge('ws', 'months')",
    ],
)
def test_what_would_go_round_the_filter_is_refused(rows: Client, q: str) -> None:
    assert ask(rows, filtered(rows), q).status_code in {400, 403}, q


FAILING = [
    "SELECT toInt32(val) FROM months",
    "SELECT count() FROM parts WHERE toInt32(tenant) = 1",
    "SELECT toDate(tenant) FROM parts",
    "SELECT throwIf(1, val) FROM months",
    "SELECT CAST(tenant AS UInt8) FROM parts",
    "SELECT toUUID(val) FROM months",
    "SELECT parseDateTimeBestEffort(val) FROM months",
    "SELECT accurateCast(val, 'Int8') FROM months",
    "SELECT toIPv4(tenant) FROM newest",
    "SELECT CAST(tenant, 'Enum8(\\'acme\\' = 1)') FROM plain WHERE throwIf(id = 1) = 0",
    "SELECT toDecimal32(val, 2) FROM names",
    "SELECT JSONExtract(val, throwIf(1)) FROM months",
]


@pytest.mark.parametrize("q", FAILING)
def test_errors_tell_of_no_rows(rows: Client, q: str) -> None:
    reply = ask(rows, filtered(rows), q)
    assert reply.status_code >= 400
    assert not any(f"of-{tenant}" in reply.text or f"'{tenant}'" in reply.text for tenant in TENANTS), reply.text


def test_errors_of_endpoints_tell_of_no_rows(rows: Client) -> None:
    reply = get(rows, "/v0/pipes/fails.json", filtered(rows), x=5)
    assert reply.status_code == 400
    assert reply.json()["error"].startswith(
        "[Error] Why this query fails is not told to a token that may read some rows only: it may tell of others "
        "(CANNOT_PARSE_TEXT)"
    )
    assert "of-" not in reply.text
    assert "of-" in get(rows, "/v0/pipes/fails.json", rows.token(ADMIN_TOKEN).value, x=5).json()["error"]


def test_what_sql_alone_is_wrong_in_is_told(rows: Client) -> None:
    value = filtered(rows)
    assert "nope" in ask(rows, value, "SELECT nope FROM months").json()["error"]
    assert "Syntax error" in ask(rows, value, "SELECT (1 FROM months").json()["error"]
    assert "filter" not in ask(rows, value, "SELECT nope FROM months").json()["error"]


@pytest.mark.parametrize(
    "format_", ["JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "XML", "JSONColumnsWithMetadata"]
)
@pytest.mark.parametrize("held", [1 << 20, 150, 0])
def test_statistics_count_his_rows(rows: Client, format_: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", held)  # the rest lies in a file
    monkeypatch.setattr("clickpipe.query.gate.WHOLE", held)
    monkeypatch.setattr("clickpipe.engine.outlet._READ", 60)
    body = ask(rows, filtered(rows), f"SELECT sum(id) AS n FROM months FORMAT {format_}").text
    whole = ask(rows, rows.token(ADMIN_TOKEN).value, f"SELECT sum(id) AS n FROM months FORMAT {format_}").text
    told = {"JSON": '"rows_read": {}', "XML": "<rows_read>{}<"}["XML" if format_ == "XML" else "JSON"]
    assert told.format(1) in body.replace("\t", ""), body
    assert told.format(15) in whole.replace("\t", ""), whole
    assert "15" not in body.split("statistics", 1)[1].replace("elapsed", "").split("bytes")[0].split("rows_read", 1)[1]


def test_a_value_that_looks_like_statistics_stays(rows: Client) -> None:
    text = '"statistics": {"rows_read": 7}'
    reply = ask(rows, filtered(rows), f"SELECT '{text}' AS x, count() AS n FROM months")
    assert reply.json()["data"] == [{"x": text, "n": 3}]
    assert reply.json()["statistics"]["rows_read"] == 1


def test_rows_before_limit_are_his(rows: Client) -> None:
    for q in (
        "SELECT id FROM months LIMIT 1",
        "SELECT id FROM months ORDER BY id LIMIT 1",
        "SELECT id FROM plain LIMIT 1",
    ):
        assert ask(rows, filtered(rows), q).json().get("rows_before_limit_at_least", 3) <= 3


@pytest.mark.parametrize("form", ["JSON", "JSONCompact", "XML"])
def test_reading_tables_by_themselves_counts_nothing(rows: Client, form: str) -> None:
    """The other side of a join is read as far as it comes, which hangs on how many parts others' rows have made."""
    q = f"SELECT a.id FROM months AS a JOIN (SELECT 1 AS id WHERE 0) AS b ON a.id = b.id FORMAT {form}"
    found = re.findall(r"rows_before_limit_at_least\W+(\d+)", ask(rows, filtered(rows), q).text)
    assert found in ([], ["0"])
    whole = ask(rows, filtered(rows), f"SELECT id FROM months FORMAT {form}").text
    assert re.findall(r"rows_before_limit_at_least\W+(\d+)", whole) in ([], ["3"])


def test_no_metadata_counts_others_rows(rows: Client) -> None:
    value = filtered(rows)
    for source in get(rows, "/v0/datasources", value).json()["datasources"]:
        assert source["statistics"] == {"row_count": None, "bytes": None}
        assert source["quarantine_rows"] is None
    assert get(rows, "/v0/datasources/months", value).json()["statistics"]["row_count"] is None
    whole = rows.token(ADMIN_TOKEN).value
    assert get(rows, "/v0/datasources/months", whole).json()["statistics"]["row_count"] == 15
    for table in ("system.tables", "information_schema.tables"):
        column = "total_rows" if table.startswith("system") else "table_rows"
        reply = get(rows, "/", value, query=f"SELECT {column} AS n FROM {table} FORMAT JSON")
        assert {row["n"] for row in reply.json()["data"]} == {None}
    summary = json.loads(get(rows, "/", value, query="SELECT sum(id) FROM months").headers["x-clickhouse-summary"])
    assert summary["read_rows"] == "1"
    summary = json.loads(get(rows, "/", whole, query="SELECT sum(id) FROM months").headers["x-clickhouse-summary"])
    assert summary["read_rows"] == "15"


def test_limits_of_his_own_do_not_count_others_rows(rows: Client) -> None:
    query = "SELECT count() FROM months FORMAT TSV"
    assert get(rows, "/", filtered(rows), query=query, max_rows_to_read=1).text == "3\n"
    whole = rows.token(ADMIN_TOKEN).value
    assert get(rows, "/", whole, query="SELECT sum(id) FROM months", max_rows_to_read=1).status_code >= 400


def test_plans_count_parts_and_are_not_his(rows: Client) -> None:
    value = filtered(rows)
    assert get(rows, "/v0/pipes/plain/explain", value).status_code == 403
    assert get(rows, "/v0/pipes/plain.json", value, explain="true").status_code == 403
    assert get(rows, "/", value, query="EXPLAIN indexes = 1 SELECT * FROM months").status_code == 403


def test_the_cache_does_not_tell_when_others_write(rows: Client) -> None:
    value = filtered(rows)
    for _ in range(2):
        reply = get(rows, "/v0/pipes/plain.json", value)
        assert reply.status_code == 200
        assert not {"etag", "age", "x-cache"} & {name.lower() for name in reply.headers}


def test_a_filter_by_a_version_s_name_holds(rows: Client) -> None:
    scope = {"type": "DATASOURCES:READ", "resource": "versions__v2", "filter": "tenant = 'acme'"}
    value = sign(rows, scope, {"type": "PIPES:READ", "resource": "version"})
    reply = get(rows, "/v0/pipes/version.json", value)
    assert {row["val"] for row in reply.json()["data"]} == {"of-acme-0", "of-acme-1", "of-acme-2"}
