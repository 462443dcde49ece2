"""Pauses and resumes the schedules of copies and sinks."""

from __future__ import annotations

from clickpipe.catalog import Catalog
from clickpipe.compiler import CopyPipe, SinkPipe
from clickpipe.diagnostics import ClickpipeError


def set_paused(catalog: Catalog, workspace: str, pipe: CopyPipe | SinkPipe, *, paused: bool) -> None:
    """Pause or resume a schedule. Raises ClickpipeError 400 if the pipe has none."""
    if not pipe.schedule:
        what = "copy pipe" if isinstance(pipe, CopyPipe) else "sink"
        message = f"The {what} '{pipe.name}' has no schedule: it runs on demand."
        raise ClickpipeError(message, code="no_schedule")
    catalog.set_paused(workspace, pipe.name, paused=paused)
