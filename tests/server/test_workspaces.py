"""Workspaces and previews over HTTP: made, listed, written to apart, removed; and who may."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from clickpipe.config import Settings
from clickpipe.engine import Engine
from tests.server.conftest import EVENTS, FILES, Client
from tests.server.test_deployments import deploy

COUNT = {"q": "SELECT count() AS c FROM events"}


@pytest.fixture
def preview(client: Client) -> Iterator[Client]:
    """A preview of the workspace with all its rows, as published clients make one."""
    made = make(client, "feature_x", "all")
    yield made
    client("DELETE", "/v0/environments/feature_x")


def make(client: Client, name: str, data: str = "") -> Client:
    reply = client("POST", f"/v1/environments?name={name}&data={data}")
    assert reply.status_code == 202, reply.text
    job = reply.json()["job"]
    assert {"id", "job_id", "job_url"} <= job.keys()
    client.instance.jobs.wait(job["id"])
    found = client("GET", f"/v0/jobs/{job['id']}").json()
    assert found["status"] == "done", found
    return Client(client.instance, client.instance.workspaces.named(name))


def count(client: Client) -> Any:
    return client("GET", "/v0/sql", params=COUNT).json()["data"][0]["c"]


def test_a_preview_begins_as_the_workspace_is_and_goes_its_own_way(client: Client, preview: Client) -> None:
    row = '{"id":"z","amount":7,"at":"2026-01-03 00:00:00"}'
    assert count(preview) == count(client) == 3
    assert preview("POST", "/v0/events?name=events&wait=true", content=row).status_code == 200
    assert (count(preview), count(client)) == (4, 3)
    assert client("POST", "/v0/events?name=events&wait=true", content=row).status_code == 200
    assert client("POST", "/v0/events?name=events&wait=true", content=row).status_code == 200
    assert (count(preview), count(client)) == (4, 5)
    assert preview("GET", "/v0/pipes/totals.json").json()["data"][0] == {"id": "a", "total": 4}
    changed = {**FILES, "datasources/events.datasource": EVENTS.replace("amount Int32", "amount Int64")}
    assert deploy(preview, changed).json()["result"] == "success"
    assert (count(preview), count(client)) == (4, 5)
    types = {"q": "SELECT any(toTypeName(amount)) AS t FROM events"}
    assert [c("GET", "/v0/sql", params=types).json()["data"][0]["t"] for c in (preview, client)] == ["Int64", "Int32"]


def test_its_files_take_no_space(engine: Engine, client: Client, preview: Client) -> None:
    del engine
    live = preview.workspace.queries.live()
    database, table = (part.strip("`") for part in live.physical.tables["events"].split("."))
    sql = "SELECT path FROM system.parts WHERE active AND database = {d:String} AND table = {t:String}"
    params = {"d": database, "t": table}
    paths = client.instance.engine.execute(sql, params, output="TSVRaw").body.decode().split()
    assert paths
    from pathlib import Path

    links = [file.stat().st_nlink for path in paths for file in Path(path).glob("*.bin")]
    assert links
    assert min(links) == 2


def test_rows_of_the_last_partition_or_none(client: Client) -> None:
    monthly = {
        **FILES,
        "datasources/events.datasource": EVENTS.replace(
            "ENGINE_SORTING_KEY", "ENGINE_PARTITION_KEY toDate(at)\nENGINE_SORTING_KEY"
        ),
    }
    assert deploy(client, monthly).json()["result"] == "success"
    assert count(client) == 3
    assert count(make(client, "last", "last_partition")) == 1
    assert count(make(client, "none")) == 0
    listed = client("GET", "/v1/environments").json()["environments"]
    assert [found["name"] for found in listed] == ["last", "none"]
    keys = {"id", "name", "token", "main", "created_at", "owner", "members"}
    assert all(keys <= found.keys() for found in listed)
    assert {found["main"] for found in listed} == {client.workspace.id}
    for found in listed:
        assert client("DELETE", f"/v0/environments/{found['id']}").status_code == 200
    assert client("GET", "/v1/environments").json()["environments"] == []


def test_published_clients_find_it(client: Client, preview: Client) -> None:
    assert client("GET", "/v0/environments/nothing?with_token=true").status_code == 404
    found = client("GET", "/v0/environments/feature_x?with_token=true").json()
    assert found["token"] == preview.token("workspace admin token").value
    plain = client("GET", "/v1/user/workspaces").json()["workspaces"]
    assert [w["name"] for w in plain] == [client.workspace.name]
    both = client("GET", "/v1/user/workspaces/?with_environments=true").json()["workspaces"]
    assert [(w["is_branch"], w["main"]) for w in both] == [(False, None), (True, client.workspace.id)]
    only = client("GET", "/v1/user/workspaces/?only_environments=true").json()["workspaces"]
    assert [w["name"] for w in only] == ["feature_x"]
    own = preview("GET", "/v1/workspace").json()
    assert (own["name"], own["is_branch"], own["main"]) == ("feature_x", True, client.workspace.id)


def test_a_preview_reaches_nothing_else(client: Client, preview: Client) -> None:
    listed = preview("GET", "/v1/user/workspaces?with_environments=true").json()["workspaces"]
    assert [w["name"] for w in listed] == ["feature_x"]
    for method, path in [
        ("GET", "/v1/environments"),
        ("POST", "/v1/environments?name=more&data=all"),
        ("GET", "/v0/environments/feature_x"),
        ("DELETE", f"/v1/workspaces/{client.workspace.id}"),
        ("POST", "/v1/workspaces?name=more"),
    ]:
        assert preview(method, path).status_code == 403, path
    other = client.instance.workspaces.create("not_a_preview")
    assert client("DELETE", "/v0/environments/not_a_preview").status_code == 404
    client.instance.workspaces.delete(other)


def test_it_has_the_secrets_of_its_workspace(client: Client, preview: Client) -> None:
    client("POST", "/v0/variables", data={"name": "key", "value": "of the workspace"})
    assert preview.workspace.secret("key") == "of the workspace"
    preview("POST", "/v0/variables", data={"name": "key", "value": "its own"})
    assert (preview.workspace.secret("key"), client.workspace.secret("key")) == ("its own", "of the workspace")


@pytest.mark.parametrize(
    ("query", "status"),
    [("name=a%20b", 400), ("name=", 400), ("name=ok&data=some", 400), ("name=default", 409)],
)
def test_what_cannot_be_made(client: Client, query: str, status: int) -> None:
    assert client("POST", f"/v1/environments?{query}").status_code == status


def test_a_preview_goes_after_a_time(client: Client, preview: Client) -> None:
    instance, name = client.instance, preview.workspace.database
    before = next(r.expires_at for r in instance.catalog.workspaces() if r.id == preview.workspace.id)
    assert before == pytest.approx(time.time() + Settings().preview_seconds, abs=60)
    instance.workspaces.expire()
    assert count(preview) == 3
    instance.catalog.set_expiry(preview.workspace.id, time.time() - 1)
    value = preview.token("workspace admin token").value
    instance.workspaces.expire()
    assert (
        client("GET", "/v0/sql", params=COUNT, token=None, headers={"Authorization": f"Bearer {value}"}).status_code
        == 403
    )
    sql = "SELECT count() FROM system.databases WHERE name = {name:String}"
    assert instance.engine.execute(sql, {"name": name}, output="TSV").body == b"0\n"


def test_scheduled_copies_run_in_the_workspace_only(client: Client, preview: Client) -> None:
    scheduled = client.instance.workspaces.scheduled()
    assert client.workspace.id in scheduled
    assert preview.workspace.id not in scheduled


def test_workspaces_are_made_and_removed(default: Client) -> None:
    made = default("POST", "/v1/workspaces?name=team_b&assign_to_organization_id=")
    assert made.status_code == 200
    assert {"id", "name", "token"} <= made.json().keys()
    assert default("POST", "/v1/workspaces", data={"name": "team_b"}).status_code == 409
    listed = {w["name"]: w for w in default("GET", "/v1/user/workspaces").json()["workspaces"]}
    assert {"default", "team_b"} <= listed.keys()
    other = Client(default.instance, default.instance.workspaces.named("team_b"))
    assert listed["team_b"]["token"] == other.token("workspace admin token").value
    assert deploy(other, FILES).json()["result"] == "success"
    assert default("GET", "/v0/pipes/totals.json").status_code == 404
    make(other, "of_b", "all")
    assert default("DELETE", "/v1/workspaces/nothing").status_code == 404
    assert default("DELETE", "/v1/workspaces/default").status_code == 400
    assert default("DELETE", "/v1/workspaces/team_b?hard_delete_confirmation=yes").status_code == 200
    names = {workspace.name for workspace in default.instance.workspaces}
    assert names.isdisjoint({"team_b", "of_b"})


def test_an_admin_removes_its_own_workspace_only(default: Client) -> None:
    one, other = (Client(default.instance, default.instance.workspaces.create(name)) for name in ("one", "other"))
    assert one("DELETE", "/v1/workspaces/other").status_code == 403
    assert one("DELETE", "/v1/workspaces/one").status_code == 200
    assert other("DELETE", f"/v1/workspaces/{other.workspace.id}").status_code == 200


def test_no_name_takes_the_place_of_an_id(default: Client) -> None:
    workspaces = default.instance.workspaces
    victim, attacker = (Client(default.instance, workspaces.create(name)) for name in ("victim", "attacker"))
    assert attacker("POST", f"/v1/environments?name={victim.workspace.id}").status_code == 400
    assert default("POST", f"/v1/workspaces?name={victim.workspace.id}").status_code == 400
    # one that has such a name from before
    named = Client(default.instance, workspaces.create("for_now", parent=attacker.workspace.id))
    named.workspace._record = replace(named.workspace._record, name=victim.workspace.id)
    assert workspaces.named(victim.workspace.id) is victim.workspace
    assert named("DELETE", f"/v1/workspaces/{victim.workspace.id}").json()["id"] == named.workspace.id
    assert victim.workspace in list(workspaces)
    for left in (victim, attacker):
        workspaces.delete(left.workspace)


def test_test_workspaces_of_tb_expire(default: Client) -> None:
    made = default("POST", "/v1/workspaces?name=Tinybird_Local_Test_1").json()
    (record,) = (r for r in default.instance.catalog.workspaces() if r.id == made["id"])
    assert 0 < record.expires_at - time.time() <= 3600
    default.instance.workspaces.delete(default.instance.workspaces.named(made["id"]))


def test_workspaces_are_of_one_organization(default: Client, client: Client) -> None:
    reply = default("GET", "/v1/user/workspaces?with_organization=true").json()
    assert reply["organization_id"]
    assert {w["organization"]["id"] for w in reply["workspaces"]} == {reply["organization_id"]}
    assert client("GET", "/v0/user/workspaces").json()["organization_id"] == reply["organization_id"]
    query = f"name=of_it&assign_to_organization_id={reply['organization_id']}"
    made = default("POST", f"/v1/workspaces?{query}", content=b"").json()
    assert made["organization"]["id"] == reply["organization_id"]
    assert default("DELETE", f"/v1/workspaces/{made['id']}", data={"confirmation": "of_it"}).status_code == 200
