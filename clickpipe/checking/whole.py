"""Compiling a project on an engine in memory."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from clickpipe.compiler import CompiledProject, compile_project
from clickpipe.config import STRICT, ProjectRules
from clickpipe.engine import EmbeddedEngine, throwaway
from clickpipe.project import Project

_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has a name of its own and this user's rights
_ENOUGH = 1 << 28  # bytes; containers have 64 MB there unless told otherwise


def compile_alone(project: Project, rules: ProjectRules = STRICT) -> CompiledProject:
    """Compile a project on an engine that is made for it, and gone afterwards with all its tables."""
    engine = EmbeddedEngine(workers=max(2, os.cpu_count() or 1), scratch=_in_memory())
    try:
        return compile_project(project, throwaway(engine), rules)
    finally:
        engine.close()


def _in_memory() -> Path | None:
    """Return a folder whose files lie in memory: ClickHouse writes some for each table, though they stay empty."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _ENOUGH and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None
