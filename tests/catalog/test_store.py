"""What the catalog keeps, and what it keeps apart."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from clickpipe.catalog import Catalog, Deployment, DeploymentStatus, Physical, Workspace
from clickpipe.compiler import ResultColumn
from clickpipe.diagnostics import ClickpipeError

PHYSICAL = Physical({"t": "`ws`.`t_1`"}, ("t_1", "t_view"))
FILES = {"t.datasource": "SCHEMA >\n    é String"}
COLUMNS = {"top": [ResultColumn("a", "Array(String)")]}


@pytest.fixture
def workspace(catalog: Catalog) -> Workspace:
    return catalog.create_workspace("one")


def deployed(catalog: Catalog, workspace: Workspace) -> Deployment:
    return catalog.create_deployment(workspace.id, FILES, COLUMNS, {"new": ["t"]}, PHYSICAL)


def lives(catalog: Catalog, workspace: Workspace) -> list[tuple[int, bool, str]]:
    return [(d.id, d.live, d.status.value) for d in catalog.deployments(workspace.id)]


def test_a_workspace_has_a_name_and_a_database_of_its_own(catalog: Catalog, workspace: Workspace) -> None:
    other = catalog.create_workspace("two")
    assert catalog.workspaces() == [workspace, other]
    assert workspace.database != other.database
    with pytest.raises(sqlite3.IntegrityError):
        catalog.create_workspace("one")


def test_a_deleted_workspace_takes_everything_with_it(catalog: Catalog, workspace: Workspace) -> None:
    kept = catalog.create_workspace("two")
    for owner in (workspace, kept):
        deployed(catalog, owner)
        catalog.tokens.put(owner.id, "t", ["ADMIN"], origin="default")
        catalog.jobs.create(owner.id, "copy", "p")
    catalog.delete_workspace(workspace.id)
    assert not [
        *catalog.deployments(workspace.id),
        *catalog.tokens.all(workspace.id),
        *catalog.jobs.newest(workspace.id),
    ]
    assert [t.workspace_id for t in catalog.tokens.all()] == [kept.id]
    assert len(catalog.deployments(kept.id)) == len(catalog.jobs.newest(kept.id)) == 1


def test_deployments_are_numbered_and_one_is_live(catalog: Catalog, workspace: Workspace) -> None:
    assert catalog.live_deployment(workspace.id) is None
    first = deployed(catalog, workspace)
    assert (first.id, first.live, first.status) == (1, False, DeploymentStatus.CALCULATING)
    assert (first.files, first.columns, first.summary, first.physical) == (FILES, COLUMNS, {"new": ["t"]}, PHYSICAL)
    catalog.promote(workspace.id, 1)
    deployed(catalog, workspace)
    assert lives(catalog, workspace) == [(1, True, "data_ready"), (2, False, "calculating")]
    catalog.promote(workspace.id, 2)
    assert lives(catalog, workspace) == [(1, False, "deleted"), (2, True, "data_ready")]
    assert catalog.live_deployment(workspace.id) == catalog.deployment(workspace.id, 2)
    assert catalog.deployment(workspace.id, 3) is None
    other = catalog.create_workspace("two")
    assert deployed(catalog, other).id == 1


def test_a_failed_deployment_keeps_its_errors(catalog: Catalog, workspace: Workspace) -> None:
    deployed(catalog, workspace)
    catalog.set_status(workspace.id, 1, DeploymentStatus.CREATING_SCHEMA)
    catalog.set_status(workspace.id, 1, DeploymentStatus.FAILED, "no space")
    found = catalog.deployment(workspace.id, 1)
    assert found is not None
    assert found.status is DeploymentStatus.FAILED
    assert found.summary == {"new": ["t"], "errors": [{"filename": "", "error": "no space"}]}


def test_a_transaction_that_fails_changes_nothing(catalog: Catalog, workspace: Workspace) -> None:
    deployed(catalog, workspace)
    catalog.promote(workspace.id, 1)
    deployed(catalog, workspace)
    before = lives(catalog, workspace)

    def half_way() -> None:
        with catalog.transaction():
            catalog.promote(workspace.id, 2)
            catalog.tokens.put(workspace.id, "t", [], origin="datafile")
            raise KeyError

    with pytest.raises(KeyError):
        half_way()
    assert lives(catalog, workspace) == before
    assert catalog.tokens.all() == []
    with catalog.transaction():
        catalog.promote(workspace.id, 2)
    assert lives(catalog, workspace) != before


def test_the_file_allows_one_live_deployment_only(catalog: Catalog, workspace: Workspace) -> None:
    deployed(catalog, workspace)
    deployed(catalog, workspace)
    with pytest.raises(sqlite3.IntegrityError):
        catalog.run("UPDATE deployments SET live = 1")


def test_a_token_keeps_its_value_when_its_scopes_change(catalog: Catalog, workspace: Workspace) -> None:
    made = catalog.tokens.put(workspace.id, "t", ["PIPES:READ:a"], origin="datafile")
    other = catalog.tokens.put(catalog.create_workspace("two").id, "t", [], origin="datafile")
    assert made.value.startswith("p.")
    assert made.value != other.value
    changed = catalog.tokens.put(workspace.id, "t", ["PIPES:READ:b"], origin="datafile")
    assert (changed.id, changed.value, changed.scopes) == (made.id, made.value, ("PIPES:READ:b",))
    given = catalog.tokens.put(workspace.id, "t", [], origin="datafile", value="mine")
    assert catalog.tokens.all(workspace.id) == [given]
    assert given.value == "mine"
    assert "mine" not in repr(given)
    catalog.tokens.delete(made.id)
    assert catalog.tokens.all() == [other]


def test_two_tokens_never_have_the_same_value(catalog: Catalog, workspace: Workspace) -> None:
    catalog.tokens.put(workspace.id, "a", [], origin="datafile", value="same")
    with pytest.raises(sqlite3.IntegrityError):
        catalog.tokens.put(workspace.id, "b", [], origin="datafile", value="same")


def test_jobs_tell_how_far_they_are(catalog: Catalog, workspace: Workspace) -> None:
    waiting, working, done = (catalog.jobs.create(workspace.id, "copy", name) for name in "abc")
    catalog.jobs.update(working.id, "working")
    catalog.jobs.update(done.id, "done", result={"rows": 3})
    assert [(j.resource, j.status) for j in catalog.jobs.newest(workspace.id)] == [
        ("c", "done"),
        ("b", "working"),
        ("a", "waiting"),
    ]
    assert [j.id for j in catalog.jobs.newest(workspace.id, limit=1)] == [done.id]
    assert catalog.jobs.get("another", done.id) is None
    catalog.jobs.fail_unfinished()
    for job in (waiting, working):
        found = catalog.jobs.get(workspace.id, job.id)
        assert found is not None
        assert (found.status, found.error) == ("error", "the server stopped before the job ended")
    finished = catalog.jobs.get(workspace.id, done.id)
    assert finished is not None
    assert (finished.status, finished.error, finished.result) == ("done", "", {"rows": 3})


def test_a_reopened_file_has_everything_and_is_its_owners_only(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = Catalog(path)
    workspace = catalog.create_workspace("one")
    deployed(catalog, workspace)
    catalog.promote(workspace.id, 1)
    catalog.tokens.put(workspace.id, "t", ["ADMIN"], origin="default")
    job = catalog.jobs.create(workspace.id, "copy", "p")
    before = (
        catalog.workspaces(),
        catalog.deployments(workspace.id),
        catalog.tokens.all(),
        catalog.jobs.newest(workspace.id),
    )
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    catalog.close()
    again = Catalog(path)
    after = (again.workspaces(), again.deployments(workspace.id), again.tokens.all(), again.jobs.newest(workspace.id))
    again.close()
    assert after == before
    assert job in after[3]
    assert set(modes.values()) == {0o600}, modes


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    Catalog(path).close()
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA user_version = 99")
    raw.close()
    with pytest.raises(ClickpipeError, match="use a newer clickpipe"):
        Catalog(path)
