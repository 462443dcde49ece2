from __future__ import annotations

import json

import pytest

from tests.server.conftest import EVENTS, TOTALS, Client


def test_json_has_meta_data_rows_and_statistics(client: Client) -> None:
    response = client("GET", "/v0/pipes/totals.json")
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["meta"] == [{"name": "id", "type": "String"}, {"name": "total", "type": "Int64"}]
    assert body["data"] == [{"id": "a", "total": 4}, {"id": "b", "total": 2}]
    assert body["rows"] == 2
    assert body["rows_before_limit_at_least"] == 2
    assert set(body["statistics"]) == {"elapsed", "rows_read", "bytes_read"}
    assert body["statistics"]["rows_read"] == 3


def test_other_formats(client: Client) -> None:
    ndjson = client("GET", "/v0/pipes/totals.ndjson")
    assert ndjson.headers["content-type"].startswith("application/x-ndjson")
    assert ndjson.text == '{"id":"a","total":4}\n{"id":"b","total":2}\n'
    csv = client("GET", "/v0/pipes/totals.csv")
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text == '"id","total"\n"a",4\n"b",2\n'
    assert client("GET", "/v0/pipes/totals.xml").status_code == 404


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("least=2", ["a", "b"]),
        ("least=3", ["a"]),
        ("ids=b", ["b"]),
        ("ids=a,b", ["a", "b"]),
        ("ids=a&ids=b", ["a", "b"]),
        ("ids=' OR 1=1 --", []),
        ("limit=1", ["a"]),
        ("unknown=1&from=cli&cli_version=5.0.2&__tb__semver=1", ["a", "b"]),
    ],
)
def test_parameters(client: Client, query: str, ids: list[str]) -> None:
    response = client("GET", f"/v0/pipes/totals.json?{query}")
    assert [row["id"] for row in response.json()["data"]] == ids


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        (
            "totals.json?limit=abc",
            400,
            "Template Syntax Error: Error validating 'abc' to type Int32: "
            "the parameter 'limit' takes an Int32, such as 1",
        ),
        (
            "strict.json",
            400,
            "Template Syntax Error: Required parameter is not defined. Check the parameters a and b. "
            "Please provide a value or set a default value in the pipe code. "
            "The parameter 'a' takes a String, such as x. The parameter 'b' takes an Int32, such as 1.",
        ),
        ("nope.json", 404, "The pipe 'nope' does not exist"),
        ("snapshot.json", 404, "The pipe 'snapshot' is not an endpoint"),
    ],
)
def test_errors(client: Client, path: str, status: int, error: str) -> None:
    response = client("GET", f"/v0/pipes/{path}")
    assert response.status_code == status
    assert response.json()["error"] == error
    assert response.json()["documentation"]


def test_tokens(client: Client) -> None:
    reader = client.token("reader").value
    assert client("GET", f"/v0/pipes/totals.json?token={reader}", token=None).status_code == 200
    assert client("GET", "/v0/pipes/totals.json", token="writer").status_code == 403
    assert client("GET", "/v0/pipes/strict.json?a=1&b=2", token="reader").status_code == 403
    assert client("GET", "/v0/pipes/totals.json?token=wrong", token=None).status_code == 403


def test_a_token_of_another_workspace_sees_nothing(client: Client) -> None:
    other = client.instance.workspaces.create("another")
    try:
        token = next(t for t in client.instance.catalog.tokens.all(other.id))
        response = client("GET", f"/v0/pipes/totals.json?token={token.value}", token=None)
        assert response.status_code == 404
    finally:
        client.instance.workspaces.delete(other)


def test_listing_shows_what_the_token_may_read(client: Client) -> None:
    every = client("GET", "/v0/pipes").json()["pipes"]
    assert [p["name"] for p in every] == ["snapshot", "strict", "totals"]
    totals = every[2]
    assert totals["type"] == "endpoint"
    assert totals["endpoint"]
    assert [p["name"] for p in totals["parameters"]] == ["least", "ids", "limit"]
    assert [n["node_type"] for n in totals["nodes"]] == ["endpoint"]
    mine = client("GET", "/v0/pipes", token="reader").json()["pipes"]
    assert [p["name"] for p in mine] == ["totals"]
    assert client("GET", "/v0/pipes/totals", token="reader").json()["name"] == "totals"
    assert client("GET", "/v0/pipes/nope").json()["error"] == "Pipe 'nope' not found"


def test_a_copy_runs_as_a_job(client: Client) -> None:
    reply = client("POST", "/v0/pipes/snapshot/copy").json()
    job = reply["job"]
    assert {"id", "job_id", "job_url"} <= job.keys()
    assert reply["tags"]["copy_target_datasource"].startswith("t_")
    client.instance.jobs.wait(job["id"])
    assert client("GET", job["job_url"]).json()["status"] == "done"
    assert client("GET", job["job_url"]).json()["rows"] == 2
    assert client.workspace.sql("SELECT sum(amount) AS s FROM totals_copy") == [{"s": 6}]
    assert [j["id"] for j in client("GET", "/v0/jobs?kind=copy").json()["jobs"]] == [job["id"]]
    assert client("POST", "/v0/pipes/totals/copy").status_code == 404
    assert client("POST", "/v0/pipes/snapshot/copy", token="reader").status_code == 403


def test_json_is_the_engines_bytes(client: Client) -> None:
    text = client("GET", "/v0/pipes/totals.json").text
    assert text.startswith('{\n\t"meta":\n')
    assert json.loads(text)["rows"] == 2


def test_openapi_tells_of_what_the_token_may_read(client: Client) -> None:
    whole = client("GET", "/v0/pipes/openapi.json").json()
    assert list(whole["paths"]) == ["/v0/pipes/strict.json", "/v0/pipes/totals.json"]
    some = client("GET", "/v0/pipes/openapi.json", "reader").json()
    assert list(some["paths"]) == ["/v0/pipes/totals.json"]
    assert client("GET", "/v0/pipes/openapi.json", None).status_code == 403


def test_explain_has_the_plan_by_the_authors_names(client: Client) -> None:
    plan = client("GET", "/v0/pipes/totals/explain?least=2", "reader").json()["plan"]
    assert any("ReadFromMergeTree (events)" in line for line in plan)
    assert not any("ws_" in line for line in plan)
    assert client("GET", "/v0/pipes/strict/explain", "reader").status_code == 403
    assert client("GET", "/v0/pipes/strict/explain").status_code == 400
    assert client("GET", "/v0/pipes/nope/explain").status_code == 404


def test_datafiles_are_for_those_who_may_see_the_whole_project(client: Client) -> None:
    for path, text in (("/v0/pipes/totals.pipe", TOTALS), ("/v0/datasources/events.datasource", EVENTS)):
        response = client("GET", path)
        assert (response.headers["content-type"], response.text) == ("text/plain", text)
        assert client("GET", path, "reader").status_code == 403
    assert client("GET", "/v0/pipes/nothing.pipe").status_code == 404
    assert client("GET", "/v0/datasources/nothing.datasource").status_code == 404
    assert client("GET", "/v0/pipes/totals").json()["nodes"][0]["sql"].startswith("%")
    assert client("GET", "/v0/pipes/totals", "reader").json()["nodes"][0]["sql"] == ""


def test_jobs_are_cancelled_and_started_anew(client: Client) -> None:
    done = client("POST", "/v0/pipes/snapshot/copy").json()["job"]
    client.instance.jobs.wait(done["id"])
    refused = client("POST", f"/v0/jobs/{done['id']}/cancel")
    assert (refused.status_code, refused.json()["error"]) == (409, "The job has ended: it is 'done'.")
    again = client("POST", f"/v0/jobs/{done['id']}/retry").json()
    assert again["id"] != done["id"]
    client.instance.jobs.wait(again["id"])
    assert client("GET", f"/v0/jobs/{again['id']}").json()["rows"] == 2
    refused = client("POST", "/v0/pipes/snapshot/copy/pause")
    assert (refused.status_code, "has no schedule" in refused.json()["error"]) == (400, True)


def test_what_cannot_be_started_anew(client: Client) -> None:
    import_ = client("POST", "/v0/datasources?mode=append&name=events&format=ndjson", content='{"id":"x"}').json()
    client.instance.jobs.wait(import_["id"])
    refused = client("POST", f"/v0/jobs/{import_['id']}/retry")
    assert (refused.status_code, "send the file again" in refused.json()["error"]) == (400, True)
