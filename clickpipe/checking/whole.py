"""Compiling a project on an engine in memory."""

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

_MEMORY = Path("/dev/shm")  # noqa: S108 - what is made in it has a name of its own and this user's rights
_ENOUGH = 1 << 28  # bytes; containers have 64 MB there unless told otherwise


def compile_alone(project: Project, rules: ProjectRules = DEFAULT_RULES) -> CompiledProject:
    """Compile a project on an engine that is made for it, and gone afterwards with all its tables."""
    engine = EmbeddedEngine(workers=max(2, os.cpu_count() or 1), scratch=_in_memory())
    try:
        compiled = compile_project(project, throwaway(engine), rules)
    finally:
        engine.close()
    compiled.reader.parse = _parse_alone
    return compiled


def _parse_alone(texts: Sequence[str]) -> list[str | CheckFailure]:
    """Parse statements that a check did not meet: calls may lead to more texts than were checked."""
    engine = EmbeddedEngine(workers=1)
    try:
        return reader_on(engine).parse(texts)
    finally:
        engine.close()


def _in_memory() -> Path | None:
    """Return a folder whose files lie in memory: ClickHouse writes some for each table, though they stay empty."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(_MEMORY).free > _ENOUGH and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None
