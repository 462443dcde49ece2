"""Checks a folder of datafiles on an engine of its own; checks what a change touches, and keeps the rest.

What does the work is imported when it is asked for: like all that is compiled, it stays, and looking for garbage
in it takes time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clickpipe.config import DEFAULT_RULES, ProjectRules, load_settings

if TYPE_CHECKING:
    from clickpipe.compiler import CompiledProject
    from clickpipe.folder import CheckResult

__all__ = ["check_changes", "check_folder", "load"]


def check_changes(root: Path, files: Mapping[str, bytes | OSError], rules: ProjectRules = DEFAULT_RULES) -> CheckResult:
    """Check the files of a project folder, and keep what was found for the next time.

    The result is that of a whole check by these rules.
    """
    with _no_garbage_collection():
        from clickpipe.checking import changes

        return changes.check_changes(root, files, rules)


def check_folder(path: str | Path, rules: ProjectRules | None = None) -> CompiledProject:
    """Compile a project folder on an engine in memory. Look at `.diagnostics`: nothing is raised for them.

    Without `rules` those of its settings hold.
    """
    with _no_garbage_collection():
        from clickpipe.checking.whole import compile_alone
        from clickpipe.project import load_folder

        return compile_alone(load_folder(Path(path)), rules or load_settings(Path(path)).rules())


def load(path: str | Path) -> CompiledProject:
    """Compile a project folder and return it.

    `load("shop").endpoints["top_products"].bind(limit=5)` gives SQL text and parameters. Raises
    ProjectError, with every diagnostic, when the project has errors.
    """
    from clickpipe.diagnostics import ProjectError, has_errors

    compiled = check_folder(path)
    if has_errors(compiled.diagnostics):
        raise ProjectError(compiled.diagnostics, compiled.project.sources)
    return compiled


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
