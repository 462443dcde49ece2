"""Checks a folder of datafiles with its own engine; rechecks only what a change affects.

The implementation is imported lazily: compiled objects stay in memory, and garbage collection would scan them.
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
    """Check the files of a project folder, and store the result for the next time.

    The result is the same as that of a full check with these rules.
    """
    with _no_garbage_collection():
        from clickpipe.checking import changes

        return changes.check_changes(root, files, rules)


def check_folder(path: str | Path, rules: ProjectRules | None = None) -> CompiledProject:
    """Compile a project folder with an in-memory engine. Mistakes are in `.diagnostics`, not raised.

    Without `rules`, those from the folder's settings apply.
    """
    with _no_garbage_collection():
        from clickpipe.checking.whole import compile_alone
        from clickpipe.project import load_folder

        return compile_alone(load_folder(Path(path)), rules or load_settings(Path(path)).rules())


def load(path: str | Path) -> CompiledProject:
    """Compile a project folder and return it.

    `load("shop").endpoints["top_products"].bind(limit=5)` returns SQL text and parameters. Raises ProjectError with all
    diagnostics if the project has errors.
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
