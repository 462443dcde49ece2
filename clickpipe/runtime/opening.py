"""The Python entry points: compile a folder, open a folder as a running workspace."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from clickpipe.compiler import CompiledProject, compile_project
from clickpipe.config import load_settings
from clickpipe.diagnostics import ProjectError, has_errors
from clickpipe.engine import EmbeddedEngine, EngineChecker, scratch
from clickpipe.folder import AnswerStore
from clickpipe.project import load_folder, read_folder
from clickpipe.runtime.instance import Instance
from clickpipe.runtime.remember import RememberingChecker
from clickpipe.runtime.workspace import Workspace


def check_folder(path: str | Path, *, remember: bool = False) -> CompiledProject:
    """Compile a project folder on an engine in memory. Look at `.diagnostics`: nothing is raised for them.

    `remember` keeps what ClickHouse says in the folder's cache, and asks only what is not kept there.
    """
    root = Path(path)
    with _no_garbage_collection(), ExitStack() as stack:

        def start(database: str) -> EngineChecker:
            engine = EmbeddedEngine(workers=max(2, os.cpu_count() or 1))
            stack.callback(engine.close)
            return stack.enter_context(scratch(engine, database, in_memory=True))

        project = load_folder(root)
        answers = AnswerStore(root) if remember and project.files else None
        known = answers.load() if answers else {}
        checker = RememberingChecker(known, start)
        compiled = compile_project(project, checker)
        if answers:
            answers.store(known, checker.used)
        return compiled


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Compile without looking for garbage: nearly all that is made is kept, and looking costs a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
