from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from clickpipe.catalog import DeploymentStatus
from tests.server.conftest import EVENTS, FILES, TOTALS, Client


def deploy(client: Client, files: dict[str, str], query: str = "auto_promote=true") -> httpx.Response:
    parts: list[tuple[str, tuple[str, bytes, str]]] = [("context://", ("cli-version", b"1.0.0", "text/plain"))]
    parts += [("data_project://", (name, text.encode(), "text/plain")) for name, text in files.items()]
    return client("POST", f"/v1/deploy?{query}", files=parts)


def listed(client: Client, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client("GET", f"/v1/deployments{query}").json()["deployments"]
    return found


def test_a_fresh_workspace_shows_the_seed(empty: Client) -> None:
    seed = listed(empty)
    assert [(d["id"], d["live"], d["status"]) for d in seed] == [("0", True, "data_ready")]
    assert empty("GET", "/v1/deployments/0").json()["deployment"]["live"] is True
    assert empty("GET", "/v0/pipes/totals.json").status_code == 404


def test_the_first_deployment_is_promoted_and_the_seed_goes(empty: Client) -> None:
    reply = deploy(empty, FILES)
    assert reply.status_code == 200
    body = reply.json()
    assert body["result"] == "success"
    assert body["deployment"]["id"] == "1"
    assert body["deployment"]["live"] is True
    assert body["deployment"]["errors"] == []
    assert body["deployment"]["new_datasource_names"] == ["events", "totals_copy"]
    assert body["deployment"]["new_pipe_names"] == ["snapshot", "strict", "totals"]
    assert [d["id"] for d in listed(empty)] == ["1"]
    assert empty("GET", "/v1/deployments/0").json()["deployment"]["status"] == "deleted"
    assert empty("GET", "/v0/pipes/totals.json").json()["data"] == []
    assert [j["deployment_id"] for j in empty("GET", "/v0/jobs?kind=deployment").json()["jobs"]] == ["1"]


def test_the_same_files_again_change_nothing(client: Client) -> None:
    body = deploy(client, FILES).json()
    assert body["result"] == "no_changes"
    assert body["deployment"]["errors"] == []
    assert [d["id"] for d in listed(client)] == ["1"]


OTHERS = {
    "a.connection": "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS a:9092\n",
    "endpoint.incl": "TYPE endpoint\n",
    "pipes/one.pipe": 'NODE n\nSQL >\n    SELECT 1 AS one\nINCLUDE "endpoint.incl"\n',
    "clickpipe.toml": 'enum_values = "error"\n',
}


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("a.connection", "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS b:9092\n", ("changed_data_connector_names", "a")),
        ("a.connection", None, ("deleted_data_connector_names", "a")),
        ("b.connection", "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS b:9092\n", ("new_data_connector_names", "b")),
        ("endpoint.incl", "DESCRIPTION one\nTYPE endpoint\n", ("changed_files", "endpoint.incl")),
        ("clickpipe.toml", 'enum_values = "ignore"\n', ("changed_files", "clickpipe.toml")),
    ],
)
def test_every_kind_of_file_is_deployed_though_it_alone_has_changed(
    empty: Client, file: str, text: str | None, told: tuple[str, str]
) -> None:
    before = {**FILES, **OTHERS}
    assert deploy(empty, before).json()["result"] == "success"
    assert deploy(empty, before).json()["result"] == "no_changes"
    after = {name: body for name, body in {**before, file: text}.items() if body is not None}
    body = deploy(empty, after).json()
    assert (body["result"], body["deployment"]["id"], body["deployment"][told[0]]) == ("success", "2", [told[1]])
    live = empty.workspace.live
    assert live is not None
    assert dict(live.compiled.project.files) == after
    assert deploy(empty, after).json()["result"] == "no_changes"


def test_check_changes_nothing(client: Client) -> None:
    changed = {**FILES, "pipes/totals.pipe": TOTALS.replace("sum(amount)", "max(amount)")}
    body = deploy(client, changed, "check=true").json()
    assert body["result"] == "success"
    assert body["deployment"]["changed_pipe_names"] == ["totals"]
    assert [d["id"] for d in listed(client)] == ["1"]
    assert client("GET", "/v0/pipes/totals.json").json()["data"][0] == {"id": "a", "total": 4}


def test_a_change_replaces_the_old_deployment(client: Client) -> None:
    changed = {**FILES, "pipes/totals.pipe": TOTALS.replace("sum(amount)", "max(amount)")}
    assert deploy(client, changed).json()["deployment"]["id"] == "2"
    assert client("GET", "/v0/pipes/totals.json").json()["data"][0] == {"id": "a", "total": 3}
    assert [(d["id"], d["live"]) for d in listed(client)] == [("2", True)]
    assert [d["id"] for d in listed(client, "?include_deleted=true")] == ["1", "2"]
    kept = client("GET", "/v1/deployments/1").json()["deployment"]  # for a while, to return to
    assert (kept["status"], kept["live"]) == ("data_ready", False)
    assert client("POST", "/v1/deployments/1/set-live").status_code == 200
    assert client("GET", "/v0/pipes/totals.json").json()["data"][0] == {"id": "a", "total": 4}
    assert [(d["id"], d["live"]) for d in listed(client)] == [("1", True), ("2", False)]


def test_what_was_live_before_goes_when_its_time_is_over(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {**FILES, "datasources/events.datasource": EVENTS.replace("Int32", "Int64")}
    deploy(client, changed)
    client.workspace.deployments.expire_previous()
    assert client.workspace.deployments.previous() is not None
    monkeypatch.setattr("time.time", lambda now=time.time: now() + 4000)
    client.workspace.deployments.expire_previous()
    (job,) = client("GET", "/v0/jobs?kind=cleanup").json()["jobs"]
    client.instance.jobs.wait(job["id"])
    job = client("GET", f"/v0/jobs/{job['id']}").json()
    assert (job["status"], job["resource"], job["freed_bytes"] > 0) == ("done", "1", True)
    assert client.workspace.deployments.previous() is None
    assert client("GET", "/v1/deployments/1").json()["deployment"]["status"] == "deleted"
    client.workspace.deployments.expire_previous()
    assert len(client("GET", "/v0/jobs?kind=cleanup").json()["jobs"]) == 1


def test_rows_are_carried_into_a_changed_schema(client: Client) -> None:
    wider = EVENTS.replace("amount Int32", "amount Int64").replace(
        "`json:$.at`", "`json:$.at`,\n    tag String DEFAULT 'none'"
    )
    body = deploy(client, {**FILES, "datasources/events.datasource": wider}).json()
    steps = {s["resource"]: s for s in body["deployment"]["steps"]}
    assert steps["events"]["category"] == "rewrite with backfill"
    assert steps["events"]["rows"] == 3
    rows = client.workspace.sql("SELECT sum(amount) AS s, any(tag) AS t FROM events")
    assert rows == [{"s": 6, "t": "none"}]


def test_an_invalid_project_is_refused_with_places(client: Client) -> None:
    broken = {**FILES, "pipes/totals.pipe": TOTALS.replace("FROM events", "FROM event")}
    reply = deploy(client, broken)
    assert reply.status_code == 400
    body = reply.json()
    assert body["result"] == "failed"
    assert body["deployment"]["errors"][0]["filename"] == "pipes/totals.pipe"
    assert "7:10: [CP2003] 'event' is not a data source" in body["deployment"]["errors"][0]["error"]
    diagnostic = body["deployment"]["diagnostics"][0]
    assert (diagnostic["file"], diagnostic["line"], diagnostic["column"]) == ("pipes/totals.pipe", 7, 10)
    assert client("GET", "/v0/pipes/totals.json").status_code == 200


def test_deleting_a_data_source_needs_a_word(client: Client) -> None:
    fewer = {f: t for f, t in FILES.items() if "copy" not in f and "snapshot" not in f}
    reply = deploy(client, fewer)
    assert reply.status_code == 400
    feedback = reply.json()["deployment"]["feedback"]
    assert [f["level"] for f in feedback] == ["ERROR"]
    assert "totals_copy" in feedback[0]["message"]
    allowed = deploy(client, fewer, "auto_promote=true&allow_destructive_operations=true")
    assert allowed.json()["deployment"]["deleted_datasource_names"] == ["totals_copy"]


@pytest.mark.parametrize(
    ("query", "token", "status"),
    [("auto_promote=true", "reader", 403), ("", "reader", 403)],
)
def test_requests_that_are_refused(client: Client, query: str, token: str, status: int) -> None:
    reply = client(
        "POST", f"/v1/deploy?{query}", token=token, files=[("data_project://", ("a.pipe", b"", "text/plain"))]
    )
    assert reply.status_code == status
    assert reply.json()["error"]


def test_a_body_without_files_is_refused(client: Client) -> None:
    reply = client("POST", "/v1/deploy?auto_promote=true", files=[("other", ("x", b"y", "text/plain"))])
    assert reply.status_code == 400
    assert "data_project://" in reply.json()["error"]


def test_a_deployment_that_fails_while_it_is_applied_leaves_live_answering(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(client.workspace.deployments._deployer._applier, "_make", fail)
    changed = {**FILES, "pipes/totals.pipe": TOTALS.replace("sum(amount)", "max(amount)")}
    reply = deploy(client, changed)
    assert reply.status_code == 400
    assert reply.json()["deployment"]["status"] == DeploymentStatus.FAILED
    assert client("GET", "/v0/pipes/totals.json").json()["data"][0] == {"id": "a", "total": 4}
    monkeypatch.undo()
    assert deploy(client, changed).json()["result"] == "success"


WIDER = {**FILES, "datasources/events.datasource": EVENTS.replace("amount Int32", "amount Int64")}
WIDER["pipes/totals.pipe"] = TOTALS.replace("sum(amount)", "sum(amount) + 1000")


def test_a_deployment_waits_in_staging(client: Client) -> None:
    reply = deploy(client, WIDER, "").json()
    assert reply["result"] == "success"
    assert (reply["deployment"]["id"], reply["deployment"]["live"]) == ("2", False)
    assert reply["deployment"]["status"] == "data_ready"
    assert [(d["id"], d["live"]) for d in listed(client)] == [("1", True), ("2", False)]
    second = deploy(client, FILES | {"pipes/new.pipe": "NODE n\nSQL >\n    SELECT 1 AS x\n"})
    assert (second.status_code, "waits in staging" in second.json()["error"]) == (400, True)
    row = '{"id":"a","amount":100,"at":"2026-01-01 00:00:00"}'
    assert client("POST", "/v0/events?name=events&wait=true", content=row).status_code == 200
    path = "/v0/pipes/totals.json?limit=1"
    assert client("GET", path).json()["data"] == [{"id": "a", "total": 104}]
    assert client("GET", f"{path}&__tb__deployment=staging").json()["data"] == [{"id": "a", "total": 1104}]
    sql = {"q": "SELECT max(total) AS t FROM totals", "__tb__deployment": "staging"}
    assert client("GET", "/v0/sql", params=sql).json()["data"] == [{"t": 1104}]
    promoted = client("POST", "/v1/deployments/2/set-live").json()
    assert promoted["deployment"]["live"] is True
    assert client("GET", path).json()["data"] == [{"id": "a", "total": 1104}]
    assert client("GET", f"{path}&__tb__deployment=staging").status_code == 404
    assert [(d["id"], d["live"]) for d in listed(client)] == [("1", False), ("2", True)]
    assert client("DELETE", "/v1/deployments/2").status_code == 400  # it is live
    assert client("POST", "/v1/deployments/1/set-live").status_code == 200  # back
    assert client("GET", path).json()["data"] == [{"id": "a", "total": 104}]
    assert client("DELETE", "/v1/deployments/2").json()["deployment"]["status"] == "deleted"
    assert [d["id"] for d in listed(client)] == ["1"]
    assert client("DELETE", "/v1/deployments/2").status_code == 200
    assert client("POST", "/v1/deployments/2/set-live").status_code == 404
    assert client("DELETE", "/v1/deployments/99").status_code == 404


def test_staging_is_written_to(client: Client) -> None:
    """Rows for staging alone: into what is its own, not into what it shares with the live deployment."""
    copied = FILES["pipes/snapshot.pipe"]
    changed = {**WIDER, "datasources/totals_copy.datasource": FILES["datasources/totals_copy.datasource"]}
    staging, row = "__tb__deployment=staging", '{"id":"s","amount":5000000000,"at":"2026-01-01 00:00:00"}'
    assert client("POST", f"/v0/events?name=events&{staging}", content=row).status_code == 404
    deploy(client, changed, "")
    reply = client("POST", f"/v0/events?name=events&{staging}", content=row + "\nno JSON\n")
    assert (reply.status_code, reply.json()) == (202, {"successful_rows": 1, "quarantined_rows": 1})
    appended = client("POST", f"/v0/datasources?name=events&mode=append&format=ndjson&{staging}", content=row)
    assert appended.json()["successful_rows"] == 1
    count = {"q": "SELECT count() AS c, sum(amount) AS s FROM events"}
    assert client("GET", "/v0/sql", params=count).json()["data"] == [{"c": 3, "s": 6}]
    staged = {**count, "__tb__deployment": "staging"}
    assert client("GET", "/v0/sql", params=staged).json()["data"] == [{"c": 5, "s": 10000000006}]
    reasons = client("GET", f"/v1/datasources/events/quarantine?{staging}").json()["reasons"]
    assert [reason["rows"] for reason in reasons] == [1]
    deleted = {"delete_condition": "id = 's'", "dry_run": "true"}
    path = f"/v0/datasources/events/delete?{staging}"
    assert client("POST", path, data=deleted).json() == {"rows_to_be_deleted": 2}
    assert client("POST", "/v0/datasources/events/delete", data=deleted).json() == {"rows_to_be_deleted": 0}
    job = client("POST", path, data={"delete_condition": "id = 's'"}).json()
    client.instance.jobs.wait(job["id"])
    again = client("POST", f"/v0/jobs/{job['id']}/retry")
    assert (again.status_code, "cannot be run again" in again.json()["error"]) == (400, True)
    shared = client("POST", f"/v0/events?name=totals_copy&{staging}", content='{"id":"x","total":1}')
    assert (shared.status_code, "what is written to it is live" in shared.json()["error"]) == (409, True)
    assert client("POST", f"/v0/pipes/snapshot/copy?{staging}").status_code == 409
    assert "TARGET_DATASOURCE totals_copy" in copied
    assert client("POST", f"/v0/datasources/events/truncate?{staging}").status_code == 205
    assert client("GET", "/v0/sql", params=staged).json()["data"] == [{"c": 0, "s": 0}]
    assert client("GET", "/v0/sql", params=count).json()["data"] == [{"c": 3, "s": 6}]


def test_the_first_deployment_may_wait_too(empty: Client) -> None:
    assert deploy(empty, FILES, "").json()["deployment"]["live"] is False
    assert [(d["id"], d["live"]) for d in listed(empty)] == [("0", True), ("1", False)]
    assert empty("GET", "/v0/pipes/totals.json?__tb__deployment=staging").json()["data"] == []
    assert empty("POST", "/v1/deployments/1/set-live").status_code == 200
    assert empty("DELETE", "/v1/deployments/0").json()["deployment"]["status"] == "deleted"
    assert empty("GET", "/v0/pipes/totals.json").json()["data"] == []
    assert [d["id"] for d in listed(empty)] == ["1"]


def build(client: Client, files: dict[str, str]) -> httpx.Response:
    parts = [("data_project://", (name, text.encode(), "text/plain")) for name, text in files.items()]
    return client("POST", "/v1/build?with_connections=true", files=parts)


def test_a_build_is_the_workspace_at_once(empty: Client) -> None:
    body = build(empty, FILES).json()
    assert body["result"] == "success"
    assert body["build"]["new_datasource_names"] == ["events", "totals_copy"]
    assert body["build"]["new_pipe_names"] == ["snapshot", "strict", "totals"]
    assert [s["name"] for s in body["build"]["datasources"]] == ["events", "totals_copy"]
    assert body["build"]["deleted_data_connector_names"] == body["build"]["feedback"] == []
    assert empty("GET", "/v0/pipes/totals.json").json()["data"] == []
    again = build(empty, FILES).json()["build"]
    assert not [name for name, found in again.items() if name.endswith("_names") and found]
    fewer = {name: text for name, text in FILES.items() if "snapshot" not in name and "totals_copy" not in name}
    assert build(empty, fewer).json()["build"]["deleted_datasource_names"] == ["totals_copy"]
    assert empty.workspace.deployments.previous() is None


def test_a_build_with_a_mistake(empty: Client) -> None:
    reply = build(empty, {**FILES, "pipes/bad.pipe": "NODE n\nSQL >\n    SELECT nothing FROM events\nTYPE endpoint\n"})
    assert reply.status_code == 400
    (error,) = reply.json()["errors"]
    assert (error["filename"], "nothing" in error["error"]) == ("pipes/bad.pipe", True)
    assert empty.workspace.live is None
