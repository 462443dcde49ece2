"""Files over HTTP: appended, in place of rows, from every kind of body; rows deleted; what is refused."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest
import zstandard

from clickpipe.engine import Engine
from tests.server.conftest import Client

CSV = b"id,amount,at\na,1,2026-02-01 00:00:00\nb,2,2026-02-01T00:00:00Z\nc,x,2026-02-01 00:00:00\n"
NDJSON = b'{"id":"a","amount":1,"at":"2026-02-01 00:00:00"}\n{"id":"b","amount":"2","at":1769904000}\nnonsense\n'
AS_CURL = {"Content-Type": "application/x-www-form-urlencoded"}  # what `curl --data-binary @file` says of any file
TSV = CSV.replace(b",", b"\t").partition(b"\n")[2]


def rows(client: Client) -> list[dict[str, Any]]:
    return client.workspace.sql("SELECT id, amount FROM events WHERE id != '' ORDER BY id, amount")


@pytest.fixture
def emptied(client: Client) -> Client:
    client.workspace.data.truncate("events")
    return client


def ended(client: Client, reply: dict[str, Any]) -> dict[str, Any]:
    client.instance.jobs.wait(reply["id"])
    found: dict[str, Any] = client("GET", f"/v0/jobs/{reply['id']}").json()
    return found


@pytest.mark.parametrize(
    ("query", "content", "headers"),
    [
        ("", CSV, {}),
        ("&format=ndjson", NDJSON, {}),
        ("", NDJSON, {"Content-Type": "application/x-ndjson"}),
        ("", gzip.compress(CSV, mtime=0), {"Content-Encoding": "gzip", "Content-Type": "text/csv"}),
        ("", zstandard.compress(CSV), {"Content-Encoding": "zstd"}),
        ("&dialect_delimiter=%09", TSV, {}),
        ("&dialect_delimiter=\\t", TSV, {}),
        ("", CSV, AS_CURL),
        ("&format=ndjson", NDJSON, AS_CURL),
        ("", gzip.compress(CSV, mtime=0), {"Content-Encoding": "gzip", **AS_CURL}),
        ("&dialect_delimiter=%3D", CSV.replace(b",", b"="), AS_CURL),
    ],
)
def test_a_body_is_appended_and_told_of_in_the_reply(
    emptied: Client, query: str, content: bytes, headers: dict[str, str]
) -> None:
    response = emptied("POST", f"/v0/datasources?mode=append&name=events{query}", content=content, headers=headers)
    assert response.status_code == 200
    reply = response.json()
    assert (reply["successful_rows"], reply["quarantined_rows"], reply["quarantine_rows"]) == (2, 1, 1)
    assert reply["error"] == "There was an error with file contents: 1 row in quarantine."
    assert reply["datasource"]["name"] == "events"
    assert reply["blocks"][0]["process_return"][0]["lines"] == 3
    assert rows(emptied) == [{"id": "a", "amount": 1}, {"id": "b", "amount": 2}]


@pytest.mark.parametrize("field", ["csv", "file"])
def test_a_part_of_a_form_is_appended(emptied: Client, field: str) -> None:
    files = {field: ("rows.csv.gz", gzip.compress(CSV, mtime=0), "text/csv")}
    reply = emptied("POST", "/v0/datasources?mode=append&name=events", files=files).json()
    assert (reply["successful_rows"], reply["quarantined_rows"]) == (2, 1)


def test_parquet_is_read_by_its_columns_names(emptied: Client, engine: Engine) -> None:
    columns = "concat('p', toString(number)) AS id, toInt64(number) AS amount, toDateTime64(1e9, 3) AS at"
    sql = f"SELECT {columns} FROM numbers(3)"
    body = engine.execute(sql, output="Parquet").body
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    job = ended(emptied, emptied("POST", "/v1/datasources/events/append", content=body, headers=headers).json())
    assert (job["status"], job["rows"], job["quarantine_rows"]) == ("done", 3, 0)
    assert [row["id"] for row in rows(emptied)] == ["p0", "p1", "p2"]


def test_the_newer_route_answers_with_a_job(emptied: Client) -> None:
    response = emptied("POST", "/v1/datasources/events/append?format=csv", content=CSV)
    assert response.status_code == 202
    reply = response.json()
    assert {"id", "import_id", "job_url"} <= reply.keys()
    assert "error" not in reply
    job = ended(emptied, reply)
    assert (job["kind"], job["status"], job["rows"], job["quarantine_rows"]) == ("import", "done", 2, 1)


@pytest.mark.parametrize("path", ["/v0/datasources?mode={}&name=events&", "/v1/datasources/events/{}?"])
@pytest.mark.parametrize("mode", ["append", "replace"])
@pytest.mark.parametrize("headers", [{}, AS_CURL], ids=["raw", "curl"])
def test_files_over_a_socket(emptied: Client, port: int, path: str, mode: str, headers: dict[str, str]) -> None:
    lines = [f"{n},1,2026-02-01 00:00:00\n".encode() for n in range(30_000)]  # more than one message
    query, sent = path.format(mode), b"id,amount,at\n" + b"".join(lines)
    headers = {"Authorization": f"Bearer {emptied.token('workspace admin token').value}", **headers}
    answer = httpx.post(f"http://127.0.0.1:{port}{query}format=csv", content=sent, headers=headers, timeout=60)
    assert answer.status_code in {200, 202}, answer.text
    emptied.instance.jobs.wait(answer.json()["id"]) if "id" in answer.json() else None
    assert emptied.workspace.sql("SELECT uniqExact(id) AS n FROM events") == [{"n": 30_000}]


def test_all_rows_are_replaced_or_those_that_meet_a_condition(emptied: Client) -> None:
    def post(query: str, content: bytes) -> httpx.Response:
        return emptied("POST", f"/v0/datasources?name=events&format=csv{query}", content=content)

    post("&mode=append", b"a,1,1\nb,2,1\n")
    assert post("&mode=replace&replace_condition=amount%3D2", b"c,2,1\nd,2,1\n").status_code == 200
    assert [row["id"] for row in rows(emptied)] == ["a", "c", "d"]
    refused = post("&mode=replace&replace_condition=amount%3D2", b"e,3,1\n")
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "1 of the new rows do not meet the replace_condition: nothing was replaced.",
    )
    assert [row["id"] for row in rows(emptied)] == ["a", "c", "d"]
    assert post("&mode=replace", b"z,9,1\n").json()["successful_rows"] == 1
    assert [row["id"] for row in rows(emptied)] == ["z"]


def test_a_url_is_fetched_by_a_job_and_only_public_ones(emptied: Client) -> None:
    response = emptied("POST", "/v0/datasources?name=events&mode=append&url=http://127.0.0.1:9/x.csv")
    assert response.status_code == 200
    job = ended(emptied, response.json())
    assert (job["status"], job["error"].startswith("The URL leads to an address that is not public")) == ("error", True)


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/v0/datasources?name=events&mode=create", CSV, 403, "can only be done via deployments"),
        ("/v0/datasources?mode=append", CSV, 400, "'name' is missing"),
        ("/v0/datasources?mode=append&name=eventz", CSV, 403, "can only be done via deployments: Data Source"),
        ("/v0/datasources?mode=append&name=eventz", CSV, 403, "did you mean 'events'"),
        ("/v1/datasources/eventz/append?format=csv", CSV, 404, "did you mean 'events'"),
        ("/v0/datasources?mode=append&name=events&format=xml", CSV, 400, "The format must be one of csv, ndjson, json"),
        ("/v0/datasources?mode=append&name=events&format=parquet", b"no", 400, "The Parquet file cannot be read"),
        ("/v0/datasources?mode=append&name=events&dialect_delimiter=::", CSV, 400, "The CSV dialect is not one"),
        ("/v0/datasources?mode=append&name=events&dialect_header=maybe", CSV, 400, "must be true, false or auto, not"),
        ("/v0/datasources?mode=replace&name=events&replace_condition=1%2C2)", CSV, 400, "Syntax error"),
        (
            "/v0/datasources?mode=replace&name=events&replace_condition=1)+from+events+where+(1",
            CSV,
            400,
            "not one expression",
        ),
    ],
)
def test_what_is_refused(client: Client, path: str, content: bytes, status: int, message: str) -> None:
    before = rows(client)
    response = client("POST", path, content=content)
    assert response.status_code == status
    assert message in response.json()["error"]
    assert rows(client) == before
    assert list(client.instance.upload_path("x").parent.iterdir()) == []


@pytest.mark.parametrize(
    "condition",
    [
        "id IN (SELECT name FROM system.users)",
        "1) UNION ALL SELECT (1",
        "1), (2",
        "file('/etc/passwd') != ''",
        "id IN (SELECT * FROM file('/etc/passwd'))",
        "1) SETTINGS max_threads = (1",
        "1) FORMAT CSV --",
        "id IN other",
        "id IN clickpipe_spool.lines_0",
        "dictGet('d', 'a', 1) = 1",
        "",
        "1; DROP TABLE events",
    ],
)
def test_conditions_that_are_not_conditions(client: Client, condition: str) -> None:
    for path in ("/v0/datasources/events/delete", "/v1/datasources/events/delete"):
        response = client("POST", path, data={"delete_condition": condition, "wait": "true"})
        assert (response.status_code, bool(response.json()["error"])) == (400, True)


def test_rows_are_counted_and_deleted(emptied: Client) -> None:
    emptied("POST", "/v0/datasources?mode=append&name=events", content=b"a,1,1\nb,2,1\nc,3,1\n")
    path = "/v0/datasources/events/delete"
    condition = "amount >= (SELECT max(amount) - 1 FROM events)"
    dry = emptied("POST", path, data={"delete_condition": condition, "dry_run": "true"})
    assert dry.json() == {"rows_to_be_deleted": 2}
    assert len(rows(emptied)) == 3
    job = ended(emptied, emptied("POST", path, data={"delete_condition": condition}).json())
    assert (job["kind"], job["status"], job["rows_affected"]) == ("delete_data", "done", 2)
    assert rows(emptied) == [{"id": "a", "amount": 1}]
    v1 = emptied("POST", "/v1/datasources/events/delete", data={"delete_condition": "id = 'a'", "wait": "true"})
    assert v1.json()["rows_affected"] == 1
    assert rows(emptied) == []


def test_a_job_tells_which_views_keep_old_rows_and_in_which_order_they_are_rebuilt(empty: Client) -> None:
    sums = "SCHEMA >\n    n Int64 `json:$.n`\n\nENGINE_SORTING_KEY n\n"
    view = "NODE n\nSQL >\n    SELECT n FROM {}\nTYPE materialized\nDATASOURCE {}\n"
    empty.workspace.deploy(
        {f"{name}.datasource": sums for name in ("a", "b", "c", "other")}
        | {"z_first.pipe": view.format("a", "b"), "a_second.pipe": view.format("b", "c")}
        | {"copied.pipe": view.format("other", "c")}
    )
    wanted = ["z_first", "a_second"]
    deleted = empty("POST", "/v0/datasources/a/delete", data={"delete_condition": "n = 1"}).json()
    assert ended(empty, deleted)["views_with_old_rows"] == wanted
    for mode, found in (("replace", wanted), ("append", None)):
        answer = empty("POST", f"/v1/datasources/a/{mode}?format=ndjson", content=b'{"n":1}').json()
        assert ended(empty, answer).get("views_with_old_rows") == found
    assert empty("POST", "/v0/datasources/a/truncate?json=true").json()["views_with_old_rows"] == wanted
    assert "views_with_old_rows" not in ended(
        empty, empty("POST", "/v0/datasources/c/delete", data={"delete_condition": "n = 1"}).json()
    )


def test_a_data_source_and_its_quarantine_are_emptied(client: Client) -> None:
    client("POST", "/v0/datasources?mode=append&name=events", content=CSV)
    for name in ("events", "events_quarantine"):
        assert client("POST", f"/v0/datasources/{name}/truncate").status_code == 205
        assert client.workspace.sql(f"SELECT count() AS n FROM {name}") == [{"n": 0}]
    assert client("POST", "/v0/datasources/nothing/truncate").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v0/datasources?mode=replace&name=events"),
        ("POST", "/v1/datasources/events/replace"),
        ("POST", "/v0/datasources/events/delete"),
        ("POST", "/v0/datasources/events/truncate"),
        ("POST", "/v1/datasources/events/quarantine/replay"),
        ("POST", "/v0/datasources?mode=append&name=totals_copy"),
        ("GET", "/v1/datasources/events/quarantine"),
    ],
)
def test_a_token_that_appends_does_nothing_else(client: Client, method: str, path: str) -> None:
    assert client(method, path, token="writer", content=CSV if method == "POST" else None).status_code == 403


def test_the_quarantine_is_told_of_and_replayed(emptied: Client) -> None:
    emptied("POST", "/v0/datasources/events_quarantine/truncate")
    emptied("POST", "/v0/datasources?mode=append&name=events", content=CSV)
    (reason,) = emptied("GET", "/v1/datasources/events/quarantine").json()["reasons"]
    assert (reason["column"], reason["rows"], reason["row"]["id"]) == ("amount", 1, "c")
    response = emptied("POST", "/v1/datasources/events/quarantine/replay")
    assert response.status_code == 202
    job = ended(emptied, response.json())
    assert (job["status"], job["rows"], job["left"]) == ("done", 0, 1)


@pytest.mark.parametrize(
    ("query", "content", "headers", "schema"),
    [
        ("", NDJSON, {}, "id String `json:$.id`, amount String `json:$.amount`, at String `json:$.at`"),
        ("", b"id,n\na,1\n", {}, "id String, n Int16"),
        ("?format=csv", gzip.compress(b"id;n\na;1\n", mtime=0), {"Content-Encoding": "gzip"}, "id String, n Int16"),
        ("", b'[{"a": 1}]', {}, "a Int16 `json:$.a`"),
        ("", b"id,n\na,1\n", AS_CURL, "id String, n Int16"),
        ("", b"a=b,n\nx,1\n", AS_CURL, "a_b String, n Int16"),
    ],
)
def test_files_are_analyzed(client: Client, query: str, content: bytes, headers: dict[str, str], schema: str) -> None:
    response = client("POST", f"/v0/analyze{query}", content=content, headers=headers)
    assert (response.status_code, response.json()["analysis"]["schema"]) == (200, schema)


def test_what_cannot_be_analyzed(client: Client, engine: Engine) -> None:
    assert client("POST", "/v0/analyze", content=b"").status_code == 400
    assert "not public" in client("POST", "/v0/analyze", data={"url": "http://127.0.0.1/a.csv"}).json()["error"]
    assert client("POST", "/v0/analyze", content=b"a,b\n", token="writer").status_code == 403
    parquet = engine.execute("SELECT 1 AS a, 'x' AS b", output="Parquet").body
    analysis = client("POST", "/v0/analyze", content=parquet).json()["analysis"]
    assert analysis["schema"] == "a UInt8 `json:$.a`, b String `json:$.b`"


@pytest.mark.parametrize(
    ("content", "quarantined", "invalid", "error"),
    [
        (b"a,1,1\nb,2,1\n", 0, 0, False),
        (b"a,1,1\nb,x,1\n", 1, 0, "There was an error with file contents: 1 row in quarantine."),
        (b"a,1,1\nb,2\n", 1, 1, "There was an error with file contents: 1 row in quarantine and 1 invalid line."),
        (
            b"a,1,1\nb,2\nc,3,1,4\nd,x,1\n",
            3,
            2,
            "There was an error with file contents: 3 rows in quarantine and 2 invalid lines.",
        ),
    ],
)
def test_lines_that_are_no_rows_are_told(
    emptied: Client, content: bytes, quarantined: int, invalid: int, error: object
) -> None:
    reply = emptied("POST", "/v0/datasources?name=events&mode=append&format=csv", content=content).json()
    assert (reply["quarantine_rows"], reply["invalid_lines"], reply["error"]) == (quarantined, invalid, error)
    job = emptied("POST", "/v1/datasources/events/append?format=csv", content=content).json()
    assert job["job_url"] == f"http://test/v0/jobs/{job['id']}"
    assert ended(emptied, job)["invalid_lines"] == invalid
