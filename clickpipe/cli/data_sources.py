"""`clickpipe datasource`: list data sources, append rows to one."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.diagnostics import ClickpipeError

_BODY_BYTES = 4 << 20
_NDJSON = (".ndjson", ".jsonl", ".json")


@click.group()
def datasource() -> None:
    """List the data sources of a server, append rows to one."""


@datasource.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_data_sources(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List the data sources with their rows, quarantined rows and bytes on disk."""
    found = connect(host, token).get("/v0/datasources")["datasources"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no data sources: deploy a project with one, or use a token that may read them")
        return
    rows = [
        (
            s["name"],
            f"{s['statistics']['row_count']:,}",
            f"{s['quarantine_rows']:,}",
            f"{s['statistics']['bytes']:,}",
            s["description"].strip().split("\n")[0],
        )
        for s in found
    ]
    print_table(["name", "rows", "quarantine", "bytes", "description"], rows, right=("rows", "quarantine", "bytes"))


@datasource.command("append")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def append(name: str, file: Path, host: str | None, token: str | None, *, as_json: bool) -> None:
    """Append the rows of FILE to the data source NAME.

    FILE is NDJSON (.ndjson, .jsonl), or .json with one object or an array of them, each also with .gz;
    - reads NDJSON from standard input. Rows that do not fit go to quarantine.
    """
    client = connect(host, token)
    good = bad = 0
    with progress() as tell:
        for body in _bodies(file):
            params = [("name", name), ("wait", "true")]
            try:
                counts = client.request("POST", "/v0/events", params=params, content=body).json()
            except ClickpipeError as error:
                message = f"{error.message} (written before: {plural(good, 'row')}, {bad:,} to quarantine)"
                raise ClickpipeError(message, status=error.status) from None
            good, bad = good + counts["successful_rows"], bad + counts["quarantined_rows"]
            tell(f"{plural(good, 'row')} appended")
    if as_json:
        print_json({"successful_rows": good, "quarantined_rows": bad})
        return
    click.echo(f"{plural(good, 'row')} appended to {name}" + (f", {bad:,} went to quarantine" if bad else ""))
    if bad:
        reasons = f"SELECT c__error, count() AS rows FROM {quote(name)}_quarantine GROUP BY ALL ORDER BY rows DESC"
        say(f'the reasons: clickpipe sql "{reasons}"')


def _bodies(file: Path) -> Iterator[bytes]:
    """Yield the file's rows as bodies of a few MB."""
    if str(file) == "-":
        yield from _join(sys.stdin.buffer)
        return
    plain = file.with_suffix("") if file.suffix == ".gz" else file
    if plain.suffix not in _NDJSON:
        message = f"the rows of {file.name} cannot be read: append takes {', '.join(_NDJSON)}, each also with .gz"
        raise ClickpipeError(message, code="unknown_format")
    try:
        with cast("IO[bytes]", gzip.open(file) if file.suffix == ".gz" else file.open("rb")) as stream:
            yield from _join(_documents(stream.read()) if plain.suffix == ".json" else stream)
    except (OSError, EOFError) as error:
        message = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ClickpipeError(message, code="unreadable") from None


def _documents(text: bytes) -> Iterable[bytes]:
    from clickpipe.ingest import lines_of

    return lines_of(text, json=True).data.split(b"\n")


def _join(lines: Iterable[bytes]) -> Iterator[bytes]:
    body: list[bytes] = []
    size = 0
    for line in lines:
        if body and size + len(line) > _BODY_BYTES:
            yield b"\n".join(body)
            body, size = [], 0
        stripped = line.strip()
        if stripped:
            body.append(stripped)
            size += len(stripped) + 1
    if body:
        yield b"\n".join(body)
