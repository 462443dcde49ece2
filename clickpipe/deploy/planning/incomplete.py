"""Finds the part of a project that can be deployed although data sources are missing."""

from __future__ import annotations

from clickpipe.compiler import CompiledProject
from clickpipe.diagnostics import MISSING, Severity
from clickpipe.project import Project, load_texts, resource_name


def complete_part(compiled: CompiledProject) -> tuple[Project, list[str]]:
    """Return the project without the pipes that need a missing data source, and the names of those pipes."""
    files = compiled.project.files
    left_out = {d.span.file for d in compiled.diagnostics if d.code == MISSING and d.severity is Severity.ERROR}
    grew = bool(left_out)
    while grew:
        names = {resource_name(file) for file in left_out}
        readers = {file for file, own in compiled.names.items() if file.endswith(".pipe") and names & own.reads}
        grew = not readers <= left_out
        left_out |= readers
    kept = {file: text for file, text in files.items() if file not in left_out}
    project = compiled.project if not left_out else load_texts(kept)
    return project, sorted(resource_name(file) for file in left_out)
