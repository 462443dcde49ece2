"""Development: deploys a project folder, and again whenever a datafile is saved."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clickpipe.config import ENV_FILES, folder_secrets
from clickpipe.deploy import Category, Plan, Progress
from clickpipe.diagnostics import ClickpipeError, Diagnostic, ProjectError, Sources
from clickpipe.project import ENDINGS, load_folder, project_folders, read_folder
from clickpipe.runtime.workspace import Workspace

_LOOK_UP_MS = 200
_QUIET_MS = 50  # an editor may write several files at once: wait until none was written for this long


@dataclass(frozen=True, slots=True)
class FolderDeployment:
    """The result of deploying a folder: the applied plan, or why there is none, and the seconds it took.

    `sources` holds the files' texts at that time.
    """

    plan: Plan | None
    seconds: float
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: Sources = field(default_factory=Sources)
    refusal: str = ""


def deploy_folder(
    workspace: Workspace, root: Path, *, allow_destructive: bool = False, progress: Progress = lambda _: None
) -> FolderDeployment:
    """Deploy the project in `root`. Mistakes in the project raise nothing: the live deployment stays as it is.

    Its `.env` and `.env.local` become the workspace's secrets.

    Without `allow_destructive`, nothing is deployed that would lose values or rows.
    """
    started = time.perf_counter()
    project = load_folder(root)
    workspace.local_secrets = folder_secrets(root)
    try:
        prepared = workspace.deployments.prepare_project(project, allow_destructive=allow_destructive)
        refusal = _refusal(prepared.plan)
        if not refusal and not prepared.plan.is_empty:
            workspace.deployments.apply(workspace.deployments.start(prepared), prepared, progress)
    except ProjectError as error:
        return FolderDeployment(None, time.perf_counter() - started, error.diagnostics, error.sources)
    except ClickpipeError as error:
        return FolderDeployment(None, time.perf_counter() - started, (), project.sources, error.message)
    warnings, sources = prepared.compiled.diagnostics, project.sources
    plan = None if refusal else prepared.plan
    return FolderDeployment(plan, time.perf_counter() - started, warnings, sources, refusal)


def _refusal(plan: Plan) -> str:
    """Return why a plan is not carried out, a line for each reason. A data source without rows may go."""
    empty = {f"Datasource {s.resource}.datasource" for s in plan.steps if s.category is Category.DESTRUCTIVE}
    empty -= {f"Datasource {s.resource}.datasource" for s in plan.steps if s.rows}
    return "\n".join(f.message for f in plan.errors if f.resource not in empty)


def watch_folder(root: Path, stop: threading.Event, seen: Mapping[str, str] | None = None) -> Iterator[None]:
    """Yield whenever datafiles below `root` were saved, added or removed, until `stop` is set.

    `seen` are the files' texts as last deployed (None: as they are now), so that a save since then is not
    missed. Saves that change nothing are ignored.
    """
    texts = read_folder(root)[0] if seen is None else seen
    secrets = folder_secrets(root)
    while not stop.is_set():
        try:
            for _ in _looks(root, stop):
                found = read_folder(root)[0], folder_secrets(root)
                if found != (texts, secrets):
                    texts, secrets = found
                    yield None
        except FileNotFoundError:  # a folder was removed meanwhile
            stop.wait(_LOOK_UP_MS / 1000)


def _looks(root: Path, stop: threading.Event) -> Iterator[None]:
    """Yield when the folders should be read, also at the start; end when the set of folders changes or `stop` is set.

    Raises FileNotFoundError if a folder disappears.
    """
    from watchfiles import watch

    folders = set(project_folders(root))
    look = True  # changes from before the watch began cause no event
    for changes in watch(
        *folders,
        watch_filter=None,
        recursive=False,  # the data folder is inside, and changes all the time
        step=_QUIET_MS,
        rust_timeout=_LOOK_UP_MS,
        yield_on_timeout=True,
        stop_event=stop,
    ):
        moved = bool(changes) and set(project_folders(root)) != folders
        if look or moved or any(path.endswith((*ENDINGS, *ENV_FILES)) for _, path in changes):
            yield None
        look = False
        if moved:
            return
