from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clickpipe.project import project_folders, read_folder
from clickpipe.runtime import Workspace, deploy_folder, watch_folder

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
ONE = "NODE n\nSQL >\n    SELECT count() AS c FROM events\nTYPE endpoint\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "events.datasource").write_text(EVENTS)
    (tmp_path / "pipes").mkdir()
    (tmp_path / "pipes" / "one.pipe").write_text(ONE)
    return tmp_path


class Watcher:
    """Watches a folder in a thread and queues the files' names at each change."""

    def __init__(self, root: Path, seen: dict[str, str] | None = None) -> None:
        self._root = root
        self._stop = threading.Event()
        self._found: queue.Queue[set[str]] = queue.Queue()
        self._thread = threading.Thread(target=self._watch, args=(seen,))
        self._thread.start()

    def _watch(self, seen: dict[str, str] | None) -> None:
        for _ in watch_folder(self._root, self._stop, seen):
            self._found.put(set(read_folder(self._root)[0]))

    def next(self) -> set[str]:
        return self._found.get(timeout=20)

    @property
    def quiet(self) -> bool:
        return self._found.empty()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def watcher(root: Path) -> Iterator[Watcher]:
    """Watching already: an older state was deployed, so the first look finds a change."""
    watching = Watcher(root, {})
    assert watching.next() == {"events.datasource", "pipes/one.pipe"}
    yield watching
    watching.stop()


Change = Callable[[Path], object]
ADDED = {"events.datasource", "pipes/one.pipe", "pipes/two.pipe"}


def new_folder(root: Path) -> None:
    (root / "more" / "deep").mkdir(parents=True)
    (root / "more" / "deep" / "new.pipe").write_text(ONE)


def replaced(root: Path) -> None:
    """Save as many editors do: write beside, then rename."""
    beside = root / "pipes" / ".one.pipe.swp"
    beside.write_text(ONE + "\n")
    beside.rename(root / "pipes" / "one.pipe")


@pytest.mark.parametrize(
    ("change", "files"),
    [
        pytest.param(lambda r: (r / "pipes/one.pipe").write_text(ONE + "\n"), ADDED - {"pipes/two.pipe"}, id="saved"),
        pytest.param(replaced, ADDED - {"pipes/two.pipe"}, id="replaced"),
        pytest.param(lambda r: (r / "pipes/two.pipe").write_text(ONE), ADDED, id="added"),
        pytest.param(lambda r: (r / "pipes/one.pipe").unlink(), {"events.datasource"}, id="removed"),
        pytest.param(
            lambda r: (r / "pipes").rename(r / "other"), {"events.datasource", "other/one.pipe"}, id="folder renamed"
        ),
        pytest.param(lambda r: (r / ".env").write_text("A=1\n"), ADDED - {"pipes/two.pipe"}, id="secrets"),
        pytest.param(new_folder, ADDED - {"pipes/two.pipe"} | {"more/deep/new.pipe"}, id="new folder"),
    ],
)
def test_a_change_of_the_datafiles_is_seen(root: Path, watcher: Watcher, change: Change, files: set[str]) -> None:
    change(root)
    while watcher.next() != files:  # a rename may be seen as removed first
        pass
    (root / "events.datasource").write_text(EVENTS + "\n")  # and what comes after
    assert watcher.next() == files


def test_other_files_and_saves_without_a_change_are_passed_over(root: Path, watcher: Watcher) -> None:
    (root / "README.md").write_text("text")
    (root / ".clickpipe").mkdir()
    (root / ".clickpipe" / "hidden.pipe").write_text(ONE)
    (root / "events.datasource").write_text(EVENTS)
    (root / "events.datasource").write_text(EVENTS.replace("\n", "\r\n"))  # read as the same text
    (root / "pipes" / "two.pipe").write_text(ONE)
    assert watcher.next() == ADDED
    assert watcher.quiet


def test_a_save_before_the_first_look_is_not_missed(root: Path) -> None:
    deployed, _ = read_folder(root)
    (root / "pipes" / "one.pipe").write_text(ONE + "\n")
    watching = Watcher(root, deployed)
    assert watching.next() == {"events.datasource", "pipes/one.pipe"}
    watching.stop()


def test_nothing_is_told_when_nothing_changed_and_it_stops_when_asked(root: Path) -> None:
    for seen in (None, read_folder(root)[0]):
        watching = Watcher(root, seen)
        watching.stop()
        assert watching.quiet


def test_a_folder_is_deployed_once(workspace: Workspace, root: Path) -> None:
    messages: list[str] = []
    first = deploy_folder(workspace, root, progress=messages.append)
    assert first.plan is not None
    assert first.plan.data_sources.new == ("events",)
    assert any(message.startswith("creating events") for message in messages)
    again = deploy_folder(workspace, root)
    assert again.plan is not None
    assert again.plan.is_empty
    assert workspace.query("one") == [{"c": 0}]


def test_the_folders_secrets_are_the_workspaces(workspace: Workspace, root: Path) -> None:
    (root / ".env").write_text("KEY=one\nOTHER=x\n")
    (root / ".env.local").write_text("KEY=two\n")
    deploy_folder(workspace, root)
    assert (workspace.secret("KEY"), workspace.secret("OTHER"), workspace.secret("NONE")) == ("two", "x", None)
    (root / ".env").unlink()
    deploy_folder(workspace, root)
    assert workspace.secret("OTHER") is None


def test_a_mistake_is_told_with_its_place_and_live_stays(workspace: Workspace, root: Path) -> None:
    deploy_folder(workspace, root)
    (root / "pipes" / "one.pipe").write_text(ONE.replace("events", "event"))
    found = deploy_folder(workspace, root)
    assert (found.plan, found.refusal) == (None, "")
    assert [(d.code, d.span.file) for d in found.diagnostics] == [("CP2003", "pipes/one.pipe")]
    assert found.sources.texts["pipes/one.pipe"].endswith("endpoint\n")
    assert workspace.query("one") == [{"c": 0}]


def test_rows_are_not_removed_with_a_file_until_that_is_allowed(workspace: Workspace, root: Path) -> None:
    (root / "spare.datasource").write_text(EVENTS)
    deploy_folder(workspace, root)
    (root / "spare.datasource").unlink()
    assert deploy_folder(workspace, root).refusal == ""  # it had no rows
    workspace.ingest("events", [{"id": "a", "n": 300}])
    (root / "events.datasource").rename(root / "other.datasource")
    (root / "pipes" / "one.pipe").unlink()
    refused = deploy_folder(workspace, root)
    assert refused.plan is None
    assert "'events' (1 rows) would be deleted. Use --allow-destructive-operations" in refused.refusal
    assert workspace.query("one") == [{"c": 1}]
    allowed = deploy_folder(workspace, root, allow_destructive=True)
    assert allowed.plan is not None
    assert allowed.plan.data_sources.deleted == ("events",)


@pytest.mark.parametrize(
    ("column", "hint"),
    [("m Int32", "n AS m"), ("m Int32 `json:$.n`", "n AS m"), ("m String", ""), ("", "")],
    ids=["renamed", "same path", "other type", "dropped"],
)
def test_values_are_not_dropped_with_a_column_until_that_is_allowed(
    workspace: Workspace, root: Path, column: str, hint: str
) -> None:
    (root / "pipes" / "one.pipe").unlink()
    deploy_folder(workspace, root)
    workspace.ingest("events", [{"id": "a", "n": 300}])
    (root / "events.datasource").write_text(EVENTS.replace("id String,\n    n Int32", f"id String,\n    {column}"))
    refused = deploy_folder(workspace, root)
    assert refused.plan is None
    assert "The values of 'n' in 1 rows would be lost" in refused.refusal
    assert hint in refused.refusal
    allowed = deploy_folder(workspace, root, allow_destructive=True)
    assert allowed.plan is not None
    assert ["are lost" in warning.message for warning in allowed.plan.warnings] == [True]


def test_a_lossy_cast_and_a_deployment_under_way_are_refused(workspace: Workspace, root: Path) -> None:
    deploy_folder(workspace, root)
    workspace.ingest("events", [{"id": "a", "n": 300}])
    (root / "events.datasource").write_text(EVENTS.replace("Int32", "Int8"))
    assert "1 rows do not fit the new type" in deploy_folder(workspace, root, allow_destructive=True).refusal
    (root / "events.datasource").write_text(EVENTS.replace("Int32", "Int64"))
    prepared = workspace.deployments.prepare(read_folder(root)[0])
    started = workspace.deployments.start(prepared)
    assert "already in progress" in deploy_folder(workspace, root).refusal
    workspace.deployments.apply(started, prepared)
    assert deploy_folder(workspace, root).refusal == ""


def test_a_folder_that_goes_while_it_is_looked_at_ends_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = threading.Event()

    def folders(_root: Path) -> Iterator[Path]:
        yield from project_folders(_root)
        if not listed.is_set():
            listed.set()
            yield root / "gone"

    monkeypatch.setattr("clickpipe.runtime.watch.project_folders", folders)
    watching = Watcher(root, {})
    assert watching.next() == {"events.datasource", "pipes/one.pipe"}
    assert listed.is_set()
    watching.stop()
