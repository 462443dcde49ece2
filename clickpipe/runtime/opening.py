"""The Python entry points: compile a folder, open a folder as a running workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clickpipe.compiler import CompiledProject, compile_project
from clickpipe.config import load_settings
from clickpipe.diagnostics import ProjectError, has_errors
from clickpipe.engine import EmbeddedEngine, EngineChecker, throwaway
from clickpipe.folder import AnswerStore
from clickpipe.project import load_folder, read_folder
from clickpipe.runtime.instance import Instance
from clickpipe.runtime.remember import DATABASE, RememberingChecker
from clickpipe.runtime.workspace import Workspace


def check_folder(path: str | Path, *, remember: bool = False) -> CompiledProject:
    """Compile a project folder on an engine in memory. Look at `.diagnostics`: nothing is raised for them.

    `remember` keeps what ClickHouse says in the folder's cache, and asks only what is not kept there.
    """
    root = Path(path)
    project = load_folder(root)
    answers = AnswerStore(root) if remember and project.files else None
    known = answers.load() if answers else {}
    with ExitStack() as stack:

        def start() -> EngineChecker:
            engine = EmbeddedEngine()
            stack.callback(engine.close)
            return throwaway(engine, DATABASE)

        checker = RememberingChecker(known, start)
        compiled = compile_project(project, checker)
    if answers:
        answers.store(known, checker.used)
    return compiled


def load(path: str | Path) -> CompiledProject:
    """Compile a project folder and return it.

    `load("shop").endpoints["top_products"].bind(limit=5)` gives SQL text and parameters. Raises
    ProjectError, with every diagnostic, when the project has errors.
    """
    compiled = check_folder(path)
    if has_errors(compiled.diagnostics):
        raise ProjectError(compiled.diagnostics, compiled.project.sources)
    return compiled


@contextmanager
def open_project(path: str | Path, data_dir: str | Path | None = None) -> Iterator[Workspace]:
    """Open a project folder in this process, its newest files deployed, and give its workspace.

    Data lies in `data_dir` (`.clickpipe` in the project by default). Raises ProjectError, and
    ClickpipeError when another process has the folder.
    """
    root = Path(path)
    settings = load_settings(root)
    with Instance(Path(data_dir) if data_dir else root / settings.data_dir, settings) as instance:
        texts, _ = read_folder(root)
        instance.default.deploy(texts)
        yield instance.default
