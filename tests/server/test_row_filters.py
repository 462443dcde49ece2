"""A row filter holds in whatever is asked, and nothing that is answered tells of other rows: values, counts, errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.runtime import Instance
from tests.server.conftest import Client, get, sign
from tests.server.tenants import OTHERS, TENANTS, ask, filtered, tenants


@pytest.fixture(scope="module")
def rows(server_instance: Instance) -> Iterator[Client]:
    with tenants(server_instance, "row_filters") as client:
        yield client


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


def test_a_filter_by_a_version_s_name_holds(rows: Client) -> None:
    scope = {"type": "DATASOURCES:READ", "resource": "versions__v2", "filter": "tenant = 'acme'"}
    value = sign(rows, scope, {"type": "PIPES:READ", "resource": "version"})
    reply = get(rows, "/v0/pipes/version.json", value)
    assert {row["val"] for row in reply.json()["data"]} == {"of-acme-0", "of-acme-1", "of-acme-2"}


def test_final_stays_with_what_is_not_filtered(rows: Client) -> None:
    """A filter has FINAL taken from its own data source's place to the sub-query that stands there; others keep it."""
    months = {"type": "DATASOURCES:READ", "resource": "months", "filter": "tenant = 'acme'"}
    pipe = {"type": "PIPES:READ", "resource": "fails", "fixed_params": {"x": 0}}
    for scopes in ([months], [months, pipe], [pipe]):
        value = sign(rows, {"type": "DATASOURCES:READ", "resource": "again"}, *scopes)
        for q, n in (
            ("SELECT count() AS n FROM again FINAL", 15),
            ("SELECT count() AS n FROM again AS a FINAL", 15),
            ("SELECT count() AS n FROM again", 16),
        ):
            assert ask(rows, value, q).json()["data"] == [{"n": n}], (scopes, q)
