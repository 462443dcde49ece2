"""Names of previews are a workspace's own: they tell of no other's, take none away, and lead to none."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clickpipe.catalog import Catalog
from clickpipe.catalog.migrations import MIGRATIONS
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace
from tests.server.conftest import FILES, Client


@pytest.fixture
def two(server_instance: Instance) -> Iterator[tuple[Client, Client]]:
    made = [server_instance.workspaces.create(f"{name}_{time.time_ns()}") for name in ("acme", "bolt")]
    yield Client(server_instance, made[0]), Client(server_instance, made[1])
    for workspace in made:
        server_instance.workspaces.delete(workspace)


def preview(client: Client, name: str, path: str = "/v1/environments", data: str = "none") -> int:
    """Ask for a preview, and wait until it is made; return the status of the answer."""
    response = client("POST", path, params={"name": name, "data": data})
    job = response.json()
    until = time.monotonic() + 30
    while response.status_code == 202 and job["status"] != "done":
        assert time.monotonic() < until, job
        job = client("GET", f"/v0/jobs/{job['id']}").json()
        assert job["status"] != "error", job
    return response.status_code


def of(client: Client, name: str) -> Workspace:
    return next(w for w in client.instance.workspaces.previews(client.workspace) if w.name == name)


@pytest.mark.parametrize("path", ["/v0/environments", "/v1/environments"])
def test_what_others_have_is_answered_as_what_nobody_has(two: tuple[Client, Client], path: str) -> None:
    acme, bolt = two
    assert preview(acme, "feature") == 202
    for name in ("nobody_has_this", "feature", acme.workspace.name):
        assert preview(bolt, name, path) == 202, name
        assert bolt("GET", f"/v0/environments/{name}").json()["id"] == of(bolt, name).id
    for method in ("GET", "DELETE"):
        told = bolt(method, f"/v0/environments/{of(acme, 'feature').id}")
        assert told.status_code == 404
        assert acme.workspace.name not in told.text
    assert [w.name for w in acme.instance.workspaces.previews(acme.workspace)] == ["feature"]


def test_one_of_the_same_name_is_another(two: tuple[Client, Client]) -> None:
    acme, bolt = two
    acme.workspace.deploy(FILES)
    acme.workspace.ingest("events", [{"id": "acme's", "amount": 1, "at": "2026-01-01 00:00:00"}])
    assert preview(acme, "same", data="all") == 202
    assert preview(bolt, "same") == 202
    mine, theirs = Client(bolt.instance, of(bolt, "same")), Client(acme.instance, of(acme, "same"))
    assert mine("GET", "/v0/pipes/totals.json").status_code == 404
    assert "acme's" in theirs("GET", "/v0/pipes/totals.json").text
    assert bolt("DELETE", "/v0/environments/same").json()["id"] == mine.workspace.id
    assert acme("GET", "/v0/environments/same").json()["id"] == theirs.workspace.id
    assert "acme's" in theirs("GET", "/v0/pipes/totals.json").text


def test_a_name_is_taken_once_in_a_workspace(two: tuple[Client, Client]) -> None:
    acme, _ = two
    assert preview(acme, "feature") == 202
    assert preview(acme, "feature") == 409
    assert preview(acme, acme.workspace.name) == 409
    assert preview(acme, "other") == 202


def test_no_preview_is_called_as_the_default_workspace(two: tuple[Client, Client]) -> None:
    acme, _ = two
    before = acme.instance.default
    assert preview(acme, "default") == 409
    with pytest.raises(ClickpipeError, match="already"):
        acme.instance.workspaces.create("default", parent=acme.workspace.id)
    assert acme.instance.default is before


def test_the_server_s_admin_names_what_one_name_is_of(two: tuple[Client, Client]) -> None:
    acme, bolt = two
    default = Client(acme.instance, acme.instance.default)
    assert [preview(client, "feature") for client in two] == [202, 202]
    assert preview(bolt, acme.workspace.name) == 202
    refused = default("DELETE", "/v1/workspaces/feature")
    assert refused.status_code == 409
    assert "by its id" in refused.json()["error"]
    assert acme.instance.workspaces.named(acme.workspace.name) is acme.workspace
    assert default("DELETE", f"/v1/workspaces/{of(bolt, 'feature').id}").status_code == 200
    assert default("DELETE", "/v1/workspaces/feature").status_code == 200
    assert acme.instance.workspaces.previews(acme.workspace) == []
    with pytest.raises(ClickpipeError, match="no workspace 'feature'"):
        acme.instance.workspaces.named("feature")


def test_those_of_an_older_catalog_keep_their_names(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    raw = sqlite3.connect(path)
    before = next(n for n, script in enumerate(MIGRATIONS) if "parent || '/'" in script)
    for number, script in enumerate(MIGRATIONS[:before], 1):
        raw.executescript(f"{script} PRAGMA user_version = {number};")
    rows = [("a", "acme", ""), ("b", "bolt", ""), ("p", "feature", "a")]
    raw.executemany("INSERT INTO workspaces (id, name, created_at, parent) VALUES (?, ?, '', ?)", rows)
    raw.commit()
    raw.close()
    catalog = Catalog(path)
    try:
        assert sorted((w.id, w.name, w.parent) for w in catalog.workspaces()) == rows
        catalog.create_workspace("feature", parent="b")
        with pytest.raises(sqlite3.IntegrityError):
            catalog.create_workspace("feature", parent="a")
    finally:
        catalog.close()


def test_a_workspace_has_so_many_previews_and_no_more(
    two: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    acme, bolt = two
    monkeypatch.setattr(acme.instance._services, "settings", replace(acme.instance.settings, previews=2))
    assert [preview(acme, name) for name in ("one", "two", "three")] == [202, 202, 409]
    assert "may have 2" in acme("POST", "/v0/environments", params={"name": "three"}).json()["error"]
    assert preview(bolt, "three") == 202
    with pytest.raises(ClickpipeError, match="may have 2"):
        acme.instance.workspaces.create("three", parent=acme.workspace.id)
    assert acme("DELETE", "/v0/environments/one").status_code == 200
    assert preview(acme, "three") == 202
