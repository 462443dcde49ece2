"""Compiles a project on an in-memory engine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from clickpipe.compiler import CheckFailure, CompiledProject, compile_project
from clickpipe.config import DEFAULT_RULES, ProjectRules
from clickpipe.engine import EmbeddedEngine, reader_on, throwaway
from clickpipe.project import Project

_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder created in it has a unique name, and this user's permissions
_ENOUGH = 1 << 28  # bytes; containers have 64 MB there by default


def compile_alone(project: Project, rules: ProjectRules = DEFAULT_RULES) -> CompiledProject:
    """Compile a project on a temporary engine."""
    engine = EmbeddedEngine(workers=max(2, os.cpu_count() or 1), scratch=_in_memory())
    try:
        compiled = compile_project(project, throwaway(engine), rules)
    finally:
        engine.close()
    compiled.reader.parse = _parse_alone
    return compiled


def _parse_alone(texts: Sequence[str]) -> list[str | CheckFailure]:
    """Parse statements that the check did not see: calls may produce more texts than were checked."""
    engine = EmbeddedEngine(workers=1)
    try:
        return reader_on(engine).parse(texts)
    finally:
        engine.close()


def _in_memory() -> Path | None:
    """Return a RAM-backed folder, as ClickHouse writes some files for each table even if it stays empty; else None."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _ENOUGH and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None
