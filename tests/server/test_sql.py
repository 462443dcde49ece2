from __future__ import annotations

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


def test_errors_show_no_physical_names(client: Client) -> None:
    error = client("GET", "/v0/sql", params={"q": "SELECT events.nope FROM events"}).json()["error"]
    assert "ws_" not in error


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
    other = client("GET", "/v0/sql", params={"q": "SELECT * FROM tinybird.kafka_ops_log"})
    assert other.status_code == 400
