from __future__ import annotations

import re

import pytest

from tests.server.conftest import Client


def test_a_select_over_data_sources_and_pipes(client: Client) -> None:
    response = client("GET", "/v0/sql", params={"q": "SELECT count() AS c FROM events"})
    assert response.json()["data"] == [{"c": 3}]
    response = client("GET", "/v0/sql", params={"q": "SELECT id FROM totals WHERE total > 2 FORMAT JSONEachRow"})
    assert response.text == '{"id":"a"}\n'
    assert response.headers["content-type"].startswith("application/x-ndjson")
    posted = client("POST", "/v0/sql", content=b"SELECT max(amount) AS m FROM events FORMAT CSV;")
    assert posted.text == "3\n"


@pytest.mark.parametrize(
    ("sql", "status", "error"),
    [
        ("", 400, "'q' is missing"),
        ("SELEC 1", 400, "Syntax error"),
        ("SELECT nope FROM events", 400, "Unknown expression identifier `nope`"),
        ("SELECT 1 FROM event", 400, "Resource 'event' not found: did you mean 'events'?"),
        ("SELECT * FROM system.tables", 400, "The table 'system.tables' is not allowed."),
        ("SELECT * FROM file('/etc/passwd')", 400, "The table function 'file' is not allowed."),
        ("INSERT INTO FUNCTION null('a Int8') SELECT 1", 400, "Only SELECT queries are allowed."),
        ("DROP TABLE events", 400, "Only SELECT queries are allowed."),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 400, "INTO OUTFILE"),
    ],
)
def test_what_is_refused(client: Client, sql: str, status: int, error: str) -> None:
    response = client("GET", "/v0/sql", params={"q": sql})
    assert response.status_code == status
    assert error in response.json()["error"]


@pytest.mark.parametrize(
    "q",
    [
        "SELECT events.nope FROM events",
        "SELECT * FROM tinybird.jobs_log SAMPLE 1",
        "SELECT nope FROM tinybird.pipe_stats_rt",
        "SELECT * FROM tinybird.datasources_ops_log FINAL",
        "EXPLAIN ESTIMATE SELECT * FROM events",
        "EXPLAIN ESTIMATE SELECT * FROM tinybird.jobs_log",
        "EXPLAIN indexes = 1 SELECT * FROM events",
        "EXPLAIN QUERY TREE SELECT * FROM events",
    ],
)
def test_nothing_shows_physical_names(client: Client, q: str) -> None:
    key = {"X-ClickHouse-Key": client.token("workspace admin token").value}
    told = [client("POST", "/", token=None, headers=key, content=q.encode()).text]
    told += [client("GET", "/v0/sql", params={"q": q}).text]
    for text in told:
        assert re.search(r"ws_[0-9a-f]{16}|_[0-9a-f]{12}\b", text) is None, text


@pytest.mark.parametrize("value", [[], [[]], {}, [None], None, 0, True, [{}], [[], "x"]])
@pytest.mark.parametrize(
    "name",
    [
        "q",
        "explain",
        "pipeline",
        "_mode",
        "__tb__deployment",
        "output_format_json_quote_64bit_integers",
        "token",
        "ids",
    ],
)
def test_a_parameter_of_any_kind_is_no_error_of_ours(client: Client, name: str, value: object) -> None:
    for path in ("/v0/pipes/totals.json", "/v0/sql", "/v0/pipes/snapshot/copy", "/v0/pipes/totals.csv?q=SELECT+1"):
        assert client("POST", path, json={"x": "1", name: value}).status_code < 500


def test_a_token_reads_only_what_it_names(client: Client) -> None:
    assert client("GET", "/v0/sql", token="reader", params={"q": "SELECT * FROM totals"}).status_code == 200
    assert client("GET", "/v0/sql", token="reader", params={"q": "SELECT * FROM events"}).status_code == 403
    nested = "SELECT * FROM totals WHERE id IN (SELECT id FROM events_quarantine)"
    assert client("GET", "/v0/sql", token="reader", params={"q": nested}).status_code == 403
    assert client("GET", "/v0/sql", token="writer", params={"q": "SELECT * FROM events"}).status_code == 403


def test_another_workspaces_tables_are_out_of_reach(client: Client) -> None:
    physical = client.workspace.queries.live().physical.tables["events"]
    for name in (physical, physical.replace("`", "")):
        response = client("GET", "/v0/sql", params={"q": f"SELECT * FROM {name}"})
        assert response.status_code == 400
        assert "is not allowed" in response.json()["error"]


def test_service_data_sources_are_for_those_who_may_read_all(client: Client) -> None:
    query = "SELECT count() > 0 AS seen FROM tinybird.datasources_ops_log"
    client.instance.service_log.flush()
    assert client("GET", "/v0/sql", params={"q": f"{query} FORMAT JSON"}).json()["data"] == [{"seen": 1}]
    refused = client("GET", "/v0/sql", params={"q": query}, token="reader")
    assert (refused.status_code, "WORKSPACE:READ_ALL" in refused.json()["error"]) == (403, True)
    other = client("GET", "/v0/sql", params={"q": "SELECT * FROM tinybird.datasources_ops_stats"})
    assert other.status_code == 400
