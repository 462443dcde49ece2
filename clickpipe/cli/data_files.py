"""`clickpipe datasource append` and `replace`: files to a server, with progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.output import plural, print_json, progress, say
from clickpipe.diagnostics import ClickpipeError

_BLOCK = 1 << 20
ENDINGS = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
ENCODINGS = {".gz": "gzip", ".zst": "zstd"}
_TYPES = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
_ENDED = {"done", "error", "cancelled"}


_Function = TypeVar("_Function", bound=Callable[..., Any])


def _file_options(function: _Function) -> _Function:
    """Add what a command that sends a file takes."""
    formats = click.Choice(list(_TYPES))
    options = (
        click.argument("name"),
        click.argument("file"),
        click.option("--format", "format_", type=formats, help="Default: by the file's name; ndjson for -."),
        click.option(
            "--delimiter", help="CSV delimiter. Default: the one that fits header and columns; a tab for .tsv."
        ),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first CSV row has names. Default: if it names a column.",
        ),
        click.option("--charset", help="Such as windows-1252. Default: UTF-8, or by a byte order mark."),
        click.option("--allow-quarantine", is_flag=True, help="Exit with 0 even if rows went to quarantine."),
        click.option("--wait/--no-wait", default=True, help="Wait until the rows are in."),
        click.option("--staging", is_flag=True, help="Write to the deployment in staging instead of the live one."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        server_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command("append")
@_file_options
def append(name: str, file: str, **how: Any) -> None:
    """Append the rows of FILE to the data source NAME.

    FILE is CSV, NDJSON (.ndjson, .jsonl), JSON (.json: an object, or an array of them) or Parquet, also with .gz or
    .zst; - reads standard input; the server fetches a URL. Rows that do not fit go to quarantine, and the exit code is
    then 1. CSV columns are matched by the names in the header, or by position without one.

    \b
    clickpipe datasource append events events.csv
    cat events.ndjson | clickpipe datasource append events -
    """
    _load("append", name, file, **how)


@click.command("replace")
@_file_options
@click.option("--allow-missing", is_flag=True, help="Use defaults for columns that the CSV header lacks.")
@click.option("--allow-empty", is_flag=True, help="Remove all rows if FILE has none.")
@click.option("--condition", help="Replace only rows that match this SQL, such as \"day = '2026-01-31'\".")
def replace(name: str, file: str, **how: Any) -> None:
    """Replace the rows of the data source NAME with those of FILE.

    Readers see either the old rows or the new ones. FILE is as for `append`. Nothing is replaced if none of its rows
    fit, or its header lacks a column. Materialized views keep what they made of the old rows.
    """
    _load("replace", name, file, **how)


def _load(
    mode: str,
    name: str,
    file: str,
    *,
    format_: str | None,
    delimiter: str | None,
    header: bool | None,
    wait: bool,
    staging: bool,
    as_json: bool,
    host: str | None,
    token: str | None,
    charset: str | None,
    allow_quarantine: bool,
    condition: str | None = None,
    allow_missing: bool = False,
    allow_empty: bool = False,
) -> None:
    client = connect(host, token, staging=staging)
    remote = file.startswith(("http://", "https://"))
    size = 0 if remote or file == "-" else _size(file)
    plain, encoding = _taken_apart(file)
    kind = format_ or ("ndjson" if file == "-" else ENDINGS.get(Path(plain.partition("?")[0]).suffix.lower(), ""))
    if not kind:
        message = f"the format of {file} is unknown: name it with --format ({', '.join(_TYPES)})"
        raise ClickpipeError(message, code="unknown_format")
    delimiter = delimiter or ("\t" if plain.endswith(".tsv") else None)
    given = {"format": kind, "dialect_delimiter": delimiter, "replace_condition": condition}
    given["dialect_header"] = None if header is None else str(header).lower()
    given["url"] = file if remote else None
    given["charset"] = charset
    given["allow_missing_columns"] = "true" if allow_missing else None
    given["replace_truncate_when_empty"] = "true" if allow_empty else None
    params = [(key, value) for key, value in given.items() if value is not None]
    with progress() as tell:
        headers = {"Content-Type": _TYPES[kind], **({"Content-Encoding": encoding} if encoding and not remote else {})}
        content = None if remote else _blocks(file, size, tell)
        path = f"/v1/datasources/{name}/{mode}"
        job = client.request("POST", path, params=params, content=content, headers=headers).json()
        found = ended(client, job, lambda seen: tell(_so_far(seen))) if wait else job
    _report(name, mode, found, as_json=as_json, wait=wait)
    if wait and found.get("quarantine_rows") and not allow_quarantine:
        raise click.exceptions.Exit(1)


def _so_far(job: dict[str, Any]) -> str:
    return f"{plural(job.get('rows', 0), 'row')} in, {job.get('bytes', 0) / 1e6:,.1f} MB"


def _report(name: str, mode: str, found: dict[str, Any], *, as_json: bool, wait: bool) -> None:
    good, bad = found.get("rows", 0), found.get("quarantine_rows", 0)
    if as_json:
        columns = {
            key: found[key] for key in ("ignored_columns", "missing_columns", "views_with_old_rows") if found.get(key)
        }
        counts = {"successful_rows": good, "quarantined_rows": bad}
        print_json({"job_id": found["id"], "status": found["status"], **counts, **columns})
        return
    if not wait:
        click.echo(f"the job {found['id']} is under way: GET /v0/jobs/{found['id']}")
        return
    done = "appended to" if mode == "append" else "now in"
    click.echo(f"{plural(good, 'row')} {done} {name}" + (f", {bad:,} went to quarantine" if bad else ""))
    if ignored := found.get("ignored_columns"):
        say(f"ignored, because there is no such column: {', '.join(filter(None, ignored)) or 'one without a name'}")
    if missing := found.get("missing_columns"):
        say(f"missing from the header, so they got their defaults: {', '.join(missing)}")
    if bad:
        say(f"to see why: clickpipe datasource quarantine {name}")
    tell_of_views(found)


def tell_of_views(job: dict[str, Any]) -> None:
    """Tell which views keep what they made of rows that are gone, and how they are made anew."""
    for view in job.get("views_with_old_rows", ()):
        say(f"{view} still has what it made of the old rows; to rebuild it: clickpipe materialization populate {view}")


def _taken_apart(file: str) -> tuple[str, str]:
    """Return a file's name without the ending of its compression, and the encoding."""
    for ending, encoding in ENCODINGS.items():
        if file.lower().endswith(ending):
            return file[: -len(ending)], encoding
    return file, ""


def _size(file: str) -> int:
    try:
        return Path(file).stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: str, error: OSError) -> ClickpipeError:
    return ClickpipeError(f"{file} cannot be read: {error.strerror or error}", code="unreadable")


def _blocks(file: str, size: int, tell: Any) -> Iterator[bytes]:
    """Yield a file's bytes, telling how many of `size` (0: unknown) were sent."""
    try:
        with _open(file) as stream:
            sent = 0
            while block := stream.read(_BLOCK):
                yield block
                sent += len(block)
                tell(f"{sent / 1e6:,.1f} MB sent" + (f" of {size / 1e6:,.1f}" if size else ""))
    except OSError as error:
        raise _unreadable(file, error) from None


def _open(file: str) -> IO[bytes]:
    return sys.stdin.buffer if file == "-" else Path(file).open("rb")


def ended(
    client: Client, job: dict[str, Any], tell: Callable[[dict[str, Any]], None] = lambda _: None
) -> dict[str, Any]:
    """Wait for a job and return it; `tell` is told of it meanwhile. Raises ClickpipeError when it failed."""
    job = awaited(client, job, tell)
    if job["status"] != "done":
        written = f" (written before: {plural(job['rows'], 'row')})" if job.get("rows") else ""
        raise ClickpipeError(f"{job.get('error') or 'the job was cancelled'}{written}")
    return job


def awaited(
    client: Client, job: dict[str, Any], tell: Callable[[dict[str, Any]], None] = lambda _: None
) -> dict[str, Any]:
    """Wait for a job and return it, also if it failed; `tell` is told of it meanwhile."""
    started = time.monotonic()
    while job["status"] not in _ENDED:
        tell(job)
        time.sleep(min(1.0, 0.02 + (time.monotonic() - started) / 10))
        job = client.get(f"/v0/jobs/{job['id']}")
    return job
