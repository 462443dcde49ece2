"""Sends a query's rows to a topic: each is a JSON object, and a message."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

from clickpipe.connect import TopicSink, reach_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.jobs import Report, export
from clickpipe.project import FileNames, SinkFiles
from clickpipe.runtime.services import Services
from clickpipe.template import BoundSQL

_ROWS = SinkFiles(FileNames("", "", ("rows",), ""), "ndjson", "none", replaces=False)


def send_rows(services: Services, workspace: str, sink: TopicSink, bound: BoundSQL, report: Report) -> dict[str, int]:
    """Run a query once, then send its rows; return how many, and their bytes.

    If the query fails, nothing is sent. Raises ClickpipeError, EngineError, JobCancelled and JobStopped.
    """
    if services.settings.no_producer:
        raise ClickpipeError(f"{services.settings.no_producer}.", code="not_installed")
    from clickpipe.connect.producer import TopicProducer

    producer = TopicProducer(sink, reach_of(workspace, services.registry, services.settings), report)
    scratch = services.uploads.path(str(uuid.uuid4()))
    try:
        with export(services.engine, bound, workspace, sink.pipe, _ROWS.names, report) as found:
            for name in found.files:
                found.write(name, scratch, _ROWS, report)
                producer.send(_lines(scratch))
    finally:
        scratch.unlink(missing_ok=True)
    return {"rows": producer.rows, "bytes": producer.size}


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\n")
