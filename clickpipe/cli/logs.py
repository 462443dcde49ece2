"""`clickpipe logs`, `clickpipe endpoint stats|errors`: what service data sources tell."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.output import print_json, print_table, say
from clickpipe.cli.sql import print_result

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SINCE = re.compile(r"^(\d+)([smhd])$")
_POLL = 2.0  # seconds
# What a line of each log says: its time, what it is about, whether it went well, and the rest.
_SOURCES = {
    "pipe_stats_rt": (
        "start_datetime",
        "pipe_name",
        "toString(status_code)",
        "concat(method, ' ', toString(round(duration * 1000, 1)), ' ms, ', toString(result_rows), ' rows, ', "
        "token_name, if(error = 1, concat(': ', ifNull(error_message, '')), ''))",
    ),
    "datasources_ops_log": (
        "timestamp",
        "datasource_name",
        "result",
        "concat(event_type, ' ', toString(ifNull(rows, 0)), ' rows, ', toString(ifNull(rows_quarantine, 0)), "
        "' in quarantine', if(result = 'ok', '', concat(': ', ifNull(error, ''))))",
    ),
    "jobs_log": (
        "toDateTime(updated_at)",
        "job_id",
        "status",
        "concat(job_type, if(isNull(error), '', concat(': ', error)))",
    ),
    "endpoint_errors": ("start_datetime", "pipe_name", "toString(status_code)", "ifNull(error, '')"),
}
_DEFAULT = ("pipe_stats_rt", "datasources_ops_log", "jobs_log")
_SINCE_OPTION = click.option("--since", default="24h", show_default=True, metavar="TIME", help="How far back: 30m, 7d.")


@click.command(short_help="Print what calls, inserts and jobs did.")
@click.option("--source", "sources", multiple=True, type=click.Choice(list(_SOURCES)), help="A log; repeatable.")
@_SINCE_OPTION
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many at most, newest first."
)
@click.option("--follow", "-f", is_flag=True, help="Keep printing new entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line per entry.")
@server_options
def logs(
    host: str | None,
    token: str | None,
    *,
    sources: tuple[str, ...],
    since: str,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Print what calls, inserts and jobs did, oldest first.

    \b
    clickpipe logs --since 10m --follow
    clickpipe logs --source endpoint_errors
    """
    client = connect(host, token)
    seen: set[str] = set()
    start = time.time() - _seconds(since)
    while True:
        found = _query(client, _lines(sources or _DEFAULT), start=str(int(start)), most=str(limit))["data"]
        for line in found:
            text = json.dumps(line, sort_keys=True)
            if text not in seen:
                seen.add(text)
                _print_line(line, as_json=as_json)
        if not follow:
            break
        start = max(start, time.time() - 60)
        time.sleep(_POLL)
    if not seen:
        say(f"nothing happened in the last {since}")


def _lines(sources: tuple[str, ...]) -> str:
    parts = [
        f"SELECT {moment} AS time, '{source}' AS source, {about} AS about, {status} AS status, {text} AS text "
        f"FROM tinybird.{source}{' FINAL' if source == 'jobs_log' else ''} "
        f"WHERE {moment} >= toDateTime({{{{Int64(start)}}}})"
        for source, (moment, about, status, text) in _SOURCES.items()
        if source in sources
    ]
    newest = f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY time DESC LIMIT {{{{Int32(most)}}}}"
    return f"% SELECT * FROM ({newest}) ORDER BY time"


def _print_line(line: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line))
        return
    good = line["status"] in {"200", "ok", "done", "working", "waiting"}
    status = click.style(line["status"], fg="green" if good else "red")
    click.echo(f"{line['time']}  {status}  {line['about']}  {line['text']}")


@click.command("stats")
@click.argument("name", required=False)
@_SINCE_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def endpoint_stats(name: str | None, host: str | None, token: str | None, *, since: str, as_json: bool) -> None:
    """Print calls, errors and times of all endpoints, or of NAME."""
    sql = (
        "% SELECT pipe_name AS name, count() AS calls, sum(error) AS errors, "
        "round(avg(duration) * 1000, 1) AS avg_ms, round(quantile(0.95)(duration) * 1000, 1) AS p95_ms, "
        "round(quantile(0.99)(duration) * 1000, 1) AS p99_ms, sum(read_rows) AS read_rows, "
        "formatReadableSize(sum(read_bytes)) AS read "
        "FROM tinybird.pipe_stats_rt WHERE start_datetime >= toDateTime({{Int64(start)}}) "
        "{% if defined(name) %} AND pipe_name = {{String(name)}} {% end %} GROUP BY pipe_name ORDER BY calls DESC"
    )
    start = str(int(time.time()) - _seconds(since))
    result = _query(connect(host, token), sql, start=start, **({"name": name} if name else {}))
    if result["data"] or as_json:
        print_result(result, as_json=as_json)
    else:
        say(f"no calls in the last {since}")


@click.command("errors")
@click.argument("name", required=False)
@_SINCE_OPTION
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many at most, newest first."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def endpoint_errors(
    name: str | None, host: str | None, token: str | None, *, since: str, limit: int, as_json: bool
) -> None:
    """Print failed calls of all endpoints, or of NAME, newest first."""
    sql = (
        "% SELECT start_datetime AS time, pipe_name AS name, status_code AS status, error, params, request_id "
        "FROM tinybird.endpoint_errors WHERE start_datetime >= toDateTime({{Int64(start)}}) "
        "{% if defined(name) %} AND pipe_name = {{String(name)}} {% end %} "
        "ORDER BY start_datetime DESC LIMIT {{Int32(most)}}"
    )
    values = {"start": str(int(time.time()) - _seconds(since)), "most": str(limit), **({"name": name} if name else {})}
    rows = _query(connect(host, token), sql, **values)["data"]
    if as_json:
        print_json(rows)
    elif rows:
        columns = ("time", "name", "status", "error", "params")
        print_table(list(columns), [[row[c] for c in columns] for row in rows])
    else:
        say(f"no errors in the last {since}")


def _query(client: Client, sql: str, **values: str) -> dict[str, Any]:
    found: dict[str, Any] = client.request("POST", "/v0/sql", json={"q": sql, **values}).json()
    return found


def _seconds(since: str) -> int:
    match = _SINCE.match(since.strip())
    if match is None:
        message = f"'{since}' is not a time like 30m, 24h or 7d"
        raise click.BadParameter(message, param_hint="--since")
    return int(match[1]) * _UNITS[match[2]]
