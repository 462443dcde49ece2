"""The Events API: `POST /v0/events?name=<data source>`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from clickpipe.concurrency import in_thread, result_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import IngestResult, Lines, compression, decompress, is_ndjson, lines_of
from clickpipe.runtime import LiveData, StagingData
from clickpipe.server.context import caller, instance_of
from clickpipe.server.parameters import flag, header, query, read_body

_LARGE = 100_000  # bytes above which a body is parsed outside the event loop
_LARGE_ARRAY = 10_000  # the same for what is not NDJSON: it takes longer if it is not valid JSON
_COUNTS = b'{"successful_rows":%d,"quarantined_rows":%d}'


async def post_events(request: Request) -> Response:
    """Accept NDJSON, a JSON object or an array, whatever the Content-Type; answer 202 when the rows are durable.

    With `wait=true`, answer 200 when they can be queried, or 202 if that takes long; the counts are exact in both
    cases. With `__tb__deployment=staging`, they are only written to the deployment in staging.
    """
    who = caller(request)
    asked = query(request)
    name = asked.get("name", "")
    if not name:
        message = "The query parameter 'name' is missing: the data source to write to."
        raise ClickpipeError(message, code="missing_name")
    who.require("DATASOURCES:APPEND", name)
    data = who.data(asked)
    data.data_source_for_events(name)
    instance, key = instance_of(request), (who.workspace.id, name)
    try:
        limits = instance.event_requests.take(key)
    except ClickpipeError:
        instance.ingestion_log.request(*key, 0, rate_limited=1)
        raise
    wait = flag(asked, "wait")
    with instance.ingester.reading(who.workspace.id) as count:
        body = await read_body(request, instance.settings.max_body_bytes, count)
        limits = {**instance.event_bytes.take(key, len(body)), **limits}
        lines = await _lines(request, body, count, json=asked.get("format") == "json")
        result = _written(data, name, lines, wait=wait)
    counted = await result
    body = _COUNTS % (counted.successful_rows, counted.quarantined_rows)
    status = 200 if wait and counted.readable else 202
    return Response(body, status, limits, "application/json")


def _written(data: LiveData | StagingData, name: str, lines: Lines, *, wait: bool) -> Awaitable[IngestResult]:
    """Append the lines to the log; those for staging are written directly."""
    if isinstance(data, StagingData):
        return in_thread(data.append, name, [lines])
    return result_of(data.submit(name, lines, wait=wait))


async def _lines(request: Request, body: bytes, count: Callable[[int], None], *, json: bool) -> Lines:
    encoding = header(request, b"content-encoding").strip().lower() or compression(body)
    if not encoding and len(body) <= (_LARGE if is_ndjson(body) else _LARGE_ARRAY):
        return lines_of(body, json=json)
    most = instance_of(request).settings.max_body_bytes * 10
    lines = await in_thread(lambda: lines_of(decompress(body, encoding, most), json=json))
    if encoding:
        count(len(lines.data))
    return lines
