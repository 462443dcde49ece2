"""Imports of files: `POST /v0/datasources`, `/v1/datasources/<name>/append|replace|delete`, `…/truncate`."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clickpipe.auth import forbidden
from clickpipe.catalog import Job, resource_id
from clickpipe.concurrency import in_thread
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import FORMATS, Dialect, Replacing
from clickpipe.runtime import Upload
from clickpipe.server.context import Caller, caller, flag, for_caller, instance_of, require_condition
from clickpipe.server.forms import charset_of, is_multipart, multipart
from clickpipe.server.jobs import ended, started
from clickpipe.server.observed import unless_gone
from clickpipe.server.parameters import form_or_file, form_values, limited

_BY_TYPE = {
    "text/csv": "csv",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/json": "json",
    "application/vnd.apache.parquet": "parquet",
}
_MODES = {"append", "replace"}
_TRUE = {"1", "true", "yes"}
_FIELDS = {"name", "mode", "url", "format", "charset", "csv_header", "replace_condition", "allow_missing_columns"}
_FIELDS |= {"dialect_header", "dialect_delimiter", "dialect_escapechar", "replace_truncate_when_empty", "token"}
_COUNT = re.compile(r"[0-9]{1,6}")
_MOST_AROUND = 100_000  # bytes of a form besides the file in it


async def post_datasources(request: Request) -> Response:
    """Append to or replace a data source (`mode`) from the body, a multipart file, or `url` (then as a job)."""
    who = caller(request)
    who.require_any("DATASOURCES:APPEND", "DATASOURCES:CREATE")
    fields, request = await form_or_file(request, _FIELDS)
    values = {**fields, **request.query_params}
    mode, name = values.get("mode", "append"), values.get("name", "")
    if mode not in _MODES:
        raise _deployments_only()
    if not name:
        message = "The query parameter 'name' is missing: the data source to write to."
        raise ClickpipeError(message, code="missing_name")
    try:
        job, fetched = await _start(request, who, name, mode, values)
    except ClickpipeError as error:
        if error.code == "not_found":  # Tinybird answers here that it will not create it
            raise _deployments_only(for_caller(request, error).message) from None
        raise
    reply = started(request, who, job)
    if fetched:
        return JSONResponse({**reply, "import_id": job.id, "job": reply})
    return JSONResponse(await _ended(request, who, name, job))


def _deployments_only(reason: str = "") -> ClickpipeError:
    message = "Adding or modifying data sources to this workspace can only be done via deployments"
    return ClickpipeError(f"{message}: {reason}" if reason else f"{message}.", status=403, code="deployments_only")


async def post_rows(request: Request) -> Response:
    """Answer `POST /v1/datasources/<name>/append|replace`: start a job that appends or replaces."""
    mode = request.url.path.rstrip("/").rpartition("/")[2]
    who, name = caller(request), request.path_params["name"]
    who.require(_scope(mode), name)
    fields, request = await form_or_file(request, _FIELDS)
    job, _ = await _start(request, who, name, mode, {**fields, **request.query_params})
    return JSONResponse({**started(request, who, job), "import_id": job.id}, status_code=202)


def _scope(mode: str) -> str:
    return "DATASOURCES:CREATE" if mode == "replace" else "DATASOURCES:APPEND"


async def _start(request: Request, who: Caller, name: str, mode: str, values: dict[str, str]) -> tuple[Job, bool]:
    who.require(_scope(mode), name)
    data = who.data({**values, **request.query_params})
    data.data_source_for_events(name)
    if values.get("replace_condition") == "":  # perhaps a variable that is not set: all rows would be replaced
        message = "The replace_condition is empty: leave it out to replace all rows."
        raise ClickpipeError(message, code="condition_empty")
    await require_condition(request, who, data.queries.live(), name, values.get("replace_condition", ""))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    default = "csv" if request.url.path.startswith("/v0/") else "ndjson"
    format_ = values.get("format") or _BY_TYPE.get(kind, default)
    if format_ not in FORMATS:
        message = f"The format must be one of {', '.join(FORMATS)}, not '{format_}'."
        raise ClickpipeError(message, code="unknown_format")
    instance = instance_of(request)
    path = instance.upload_path(str(uuid.uuid4()))
    url = values.get("url", "")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    try:
        if not url:
            encoding = await _save(request, path, instance.settings.import_max_bytes, encoding)
        dialect = _dialect(values, charset_of(request))
        upload = Upload(name, path, format_, encoding, url, dialect, _replacing(values))
        job = await in_thread(data.import_file, upload, mode=mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return job, bool(url)


def _dialect(values: dict[str, str], charset: str) -> Dialect:
    header = values.get("dialect_header", values.get("csv_header", "")).lower()
    delimiter = values.get("dialect_delimiter", "").replace("\\t", "\t") or None
    known = {"true": True, "1": True, "false": False, "0": False, "": None, "auto": None}
    if header not in known:
        message = f"dialect_header must be true, false or auto, not '{header[:100]}'."
        raise ClickpipeError(message, code="bad_dialect")
    escape, charset = values.get("dialect_escapechar") or None, values.get("charset") or charset
    return Dialect(delimiter, escape, header=known[header], charset=charset)


def _replacing(values: dict[str, str]) -> Replacing:
    missing, empty = (
        values.get(name, "").lower() in _TRUE for name in ("allow_missing_columns", "replace_truncate_when_empty")
    )
    return Replacing(values.get("replace_condition", ""), missing, empty)


async def _save(request: Request, path: Path, limit: int, encoding: str) -> str:
    """Save the body, or the file part of a form; return its encoding. Raises ClickpipeError 413 and 400."""
    if is_multipart(request):
        most = limit + _MOST_AROUND
        async with multipart(request, most, _too_large(limit), files=1, fields=100, held=False) as form:
            part = next((value for value in form.values() if isinstance(value, UploadFile)), None)
            if part is None:
                message = "The form has no file: send it as a part named after its format."
                raise ClickpipeError(message, code="no_file")
            await in_thread(_copy, part, path)
            return _by_name(part.filename or "") or encoding
    with path.open("wb") as file:
        async for chunk in limited(request, limit, _too_large(limit)).stream():
            await in_thread(file.write, chunk)
    return encoding


def _copy(part: UploadFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(part.file, file, 1 << 20)


def _too_large(limit: int) -> ClickpipeError:
    message = f"The file is larger than {limit} bytes: see the setting import_max_bytes."
    return ClickpipeError(message, status=413, code="file_too_large")


def _by_name(name: str) -> str:
    return "gzip" if name.endswith(".gz") else "zstd" if name.endswith((".zst", ".zstd")) else ""


async def _result(request: Request, who: Caller, job: Job) -> Mapping[str, Any]:
    """Wait for a job; return its result. Raises ClickpipeError if it failed, was cancelled, or the server stops."""
    instance = instance_of(request)
    await ended(request, job)
    found = instance.catalog.jobs.get(who.workspace.id, job.id)
    assert found is not None  # noqa: S101 - just created
    if found.status == "error":
        raise ClickpipeError(found.error, code="import_failed" if job.kind == "import" else "job_failed")
    if found.status == "cancelled":
        message = f"The job {job.id} was cancelled."
        raise ClickpipeError(message, status=409, code="job_cancelled")
    if found.status != "done":
        message = f"The server is stopping. The job {job.id} continues after a restart."
        raise ClickpipeError(message, status=503, code="stopping")
    return found.result


async def _ended(request: Request, who: Caller, name: str, job: Job) -> dict[str, Any]:
    """Wait for an import and return the response for published clients. Raises ClickpipeError if it failed."""
    result = await _result(request, who, job)
    bad = result.get("quarantine_rows", 0)
    invalid = result.get("invalid_lines", 0)
    summary = f"There was an error with file contents: {bad} row{'s' if bad != 1 else ''} in quarantine"
    summary += f" and {invalid} invalid line{'s' if invalid != 1 else ''}." if invalid else "."
    return {
        **result,
        "id": job.id,
        "job_id": job.id,
        "datasource": {"id": resource_id(who.workspace.id, "datasource", name), "name": name},
        "successful_rows": result.get("rows", 0),
        "quarantined_rows": bad,
        "quarantine_rows": bad,
        "invalid_lines": invalid,
        "error": summary if bad else False,
    }


async def post_delete(request: Request) -> Response:
    """Delete rows by `delete_condition`: only count them (`dry_run`), as a job, or at once (v1 with `wait`)."""
    who, name = caller(request), request.path_params["name"]
    who.require("DATASOURCES:CREATE", name)
    values = {**dict(request.query_params), **await form_values(request)}
    condition, data = values.get("delete_condition", ""), who.data(values)
    await require_condition(request, who, data.queries.live(), name, condition)
    if values.get("dry_run", "").lower() in _TRUE:
        return JSONResponse({"rows_to_be_deleted": await unless_gone(request, data.count_rows(name, condition))})
    if request.url.path.startswith("/v1/") and values.get("wait", "").lower() in _TRUE:
        job = await in_thread(data.delete_job, name, condition)
        rows = (await _result(request, who, job))["rows_affected"]
        mutation: dict[str, list[str]] = {"partitions_scanned": [], "partitions_done": [], "partitions_in_progress": []}
        return JSONResponse({"rows_affected": rows, "mutation": mutation})
    job = await in_thread(data.delete_job, name, condition)
    return JSONResponse({**started(request, who, job), "delete_id": job.id})


async def post_truncate(request: Request) -> Response:
    """Remove all rows of a data source, or of its quarantine."""
    who, name = caller(request), request.path_params["name"]
    who.require_any("DATASOURCES:CREATE")
    data = who.data(request.query_params)
    who.require("DATASOURCES:CREATE", data.queries.live().source_of(name))
    views = await in_thread(data.truncate, name)
    if not flag(request, "json"):
        return Response(status_code=205)
    return JSONResponse({"truncated": True, "datasource": name, **views})


async def get_quarantine(request: Request) -> Response:
    """Return why rows of a data source are in quarantine, with counts and an example row for each reason."""
    who, name = caller(request), request.path_params["name"]
    who.require("DATASOURCES:READ", name)
    if name in who.token.filters:
        message = f"A token that is limited to some rows of '{name}' cannot read its quarantine."
        raise forbidden(message)
    limit = request.query_params.get("limit", "100")
    found = await in_thread(
        who.data(request.query_params).quarantine_reasons, name, int(limit) if _COUNT.fullmatch(limit) else 100
    )
    return JSONResponse({"reasons": [reason.as_dict() for reason in found]})


async def post_replay(request: Request) -> Response:
    """Start a job that moves quarantined rows that now fit into the data source."""
    who, name = caller(request), request.path_params["name"]
    who.require("DATASOURCES:CREATE", name)
    job = await in_thread(who.data(request.query_params).replay_quarantine, name)
    return JSONResponse(started(request, who, job), status_code=202)


async def get_rejected(request: Request) -> Response:
    """List segments of the log that were rejected and kept."""
    who = caller(request)
    who.require("ADMIN")
    found = await in_thread(instance_of(request).ingester.rejected, who.workspace.id)
    return JSONResponse({"rejected": [one.as_dict() for one in found]})


async def post_rejected(request: Request) -> Response:
    """Insert rejected segments again: all, or those of the data source `name`."""
    who = caller(request)
    who.require("ADMIN")
    ingester, name = instance_of(request).ingester, request.query_params.get("name", "")
    return JSONResponse(await in_thread(ingester.replay_rejected, who.workspace.id, name))


async def post_rebuild(request: Request) -> Response:
    """Start a job that rebuilds the target of a materialized view."""
    who, name = caller(request), request.path_params["name"]
    who.require("PIPES:CREATE", name)
    job = await in_thread(who.workspace.jobs.rebuild, name)
    return JSONResponse(started(request, who, job), status_code=202)


async def post_analyze(request: Request) -> Response:
    """Return the columns of a file: the body (its start suffices, except for Parquet), a form part, or `url`."""
    who = caller(request)
    who.require("DATASOURCES:CREATE")
    instance = instance_of(request)
    fields, request = await form_or_file(request, _FIELDS)
    values = {**fields, **request.query_params}
    path = instance.upload_path(str(uuid.uuid4()))
    encoding = request.headers.get("content-encoding", "").strip().lower()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if not (url := values.get("url", "")):
            encoding = await _save(request, path, instance.settings.import_max_bytes, encoding)
        upload = Upload("", path, values.get("format") or _BY_TYPE.get(kind, ""), encoding, url)
        found = await in_thread(upload.analyze, instance.settings)
    finally:
        path.unlink(missing_ok=True)
    return JSONResponse(found.as_dict())
