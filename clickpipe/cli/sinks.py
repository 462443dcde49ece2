"""`clickpipe sink`: pipes that write their rows to files in a bucket, or send them to a topic."""

from __future__ import annotations

from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.data_files import ended
from clickpipe.cli.endpoints import parse_params
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.cli.schedules import add_pause_and_resume, last_runs, told


@click.group(short_help="Sinks: run, pause, resume.")
def sink() -> None:
    """List and run sinks; pause and resume their schedules."""


@sink.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_sinks(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List sinks. Shows where they write, their schedules (cron, UTC) and their last run."""
    client = connect(host, token)
    found = [p for p in client.get("/v0/pipes")["pipes"] if p["type"] == "sink"]
    last = last_runs(client, "sink")
    if as_json:
        keys = ("name", "sink_to", "sink_schedule", "sink_paused")
        print_json([{**{key: p[key] for key in keys}, "last_job": last.get(p["name"])} for p in found])
        return
    rows = []
    for pipe in found:
        schedule = pipe["sink_schedule"] + (" (paused)" if pipe["sink_paused"] else "")
        rows.append((pipe["name"], pipe["sink_to"], schedule, told(last.get(pipe["name"]))))
    print_table(["pipe", "to", "schedule", "last run (UTC)"], rows)


@sink.command("run")
@click.argument("pipe")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipe.")
@click.option("--mode", type=click.Choice(["append", "replace"]), help="Write new files, or replace the last run's.")
@click.option("--wait/--no-wait", default=True, help="Wait until the rows are written (the default).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def run_sink(
    host: str | None,
    token: str | None,
    *,
    pipe: str,
    params: tuple[str, ...],
    mode: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Run a sink now, and print the files that it wrote, or how many rows it sent.

    \b
    clickpipe sink run daily_sessions --param day=2026-01-31
    """
    client = connect(host, token)
    given = [*parse_params(params), *([("_mode", mode)] if mode else [])]
    started = client.request("POST", f"/v0/pipes/{quote(pipe, safe='')}/sink", params=given).json()["job"]
    found = started
    if wait:
        with progress() as tell:
            found = ended(client, started, lambda seen: tell(f"exporting: {plural(seen.get('rows', 0), 'row')}"))
    if as_json:
        print_json(found)
    elif wait:
        files = found.get("files", {})
        for key, file in files.items():
            click.echo(f"{key}: {plural(file['rows'], 'row')}, {file['bytes']:,} bytes")
        where = f"sent to the topic {found['topic']}" if "topic" in found else f"in {plural(len(files), 'file')}"
        say(f"{plural(found['rows'], 'row')} {where}")
    else:
        click.echo(found["id"])


add_pause_and_resume(sink, "sink")
