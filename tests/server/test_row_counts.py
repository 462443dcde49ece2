"""Who may read some rows is told of no others by counts: statistics, metadata, limits, plans, caches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.runtime import Instance
from tests.server.conftest import Client, get
from tests.server.tenants import ask, filtered, tenants


@pytest.fixture(scope="module")
def rows(server_instance: Instance) -> Iterator[Client]:
    with tenants(server_instance, "row_counts") as client:
        yield client


@pytest.mark.parametrize(
    "format_", ["JSON", "JSONCompact", "JSONStrings", "JSONCompactStrings", "XML", "JSONColumnsWithMetadata"]
)
@pytest.mark.parametrize("held", [1 << 20, 150, 0])
def test_statistics_count_his_rows(rows: Client, format_: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clickpipe.engine.outlet._HELD", held)  # the rest lies in a file
    monkeypatch.setattr("clickpipe.query.limiter.WHOLE", held)
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
