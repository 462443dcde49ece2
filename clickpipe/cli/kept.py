"""`clickpipe datasource rejected` and `clickpipe materialization`: rows that were kept aside, targets made anew."""

from __future__ import annotations

from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.data_files import ended
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.diagnostics import ClickpipeError


@click.group(short_help="Segments of the log that were kept aside.")
def rejected() -> None:
    """List events that were acknowledged and kept aside, and take them in again.

    They are of data sources that are gone, cannot be read to their end, or were set aside by an older version.
    """


@rejected.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_rejected(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List what is kept aside."""
    found = connect(host, token).get("/v1/rejected")["rejected"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing is kept aside")
        return
    rows = [(one["data_source"], one["file"], f"{one['rows']:,}", f"{one['size']:,}", one["since"]) for one in found]
    print_table(["data source", "file", "rows", "bytes", "since (UTC)"], rows, right=("rows", "bytes"))


@rejected.command("replay")
@click.argument("name", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def replay_rejected(name: str, host: str | None, token: str | None, *, as_json: bool) -> None:
    """Take in again what is kept aside, of the data source NAME or of all; each row once."""
    params = [("name", name)] if name else []
    found = connect(host, token).request("POST", "/v1/rejected/replay", params=params).json()
    if as_json:
        print_json(found)
        return
    if not found["segments"] and not found["left"]:
        say(f"nothing is kept aside{f' of {name}' if name else ''}")
        return
    click.echo(f"{plural(found['segments'], 'segment')} taken in")
    if found["left"]:
        why = "their data source is not deployed, or they cannot be inserted yet"
        message = f"{plural(found['left'], 'segment')} still kept aside: {why}. See `clickpipe datasource rejected ls`."
        raise ClickpipeError(message)


@click.group(short_help="Materialized views: their targets made anew.")
def materialization() -> None:
    """Make what materialized views hold anew."""


@materialization.command("populate")
@click.argument("name")
@click.option("--wait/--no-wait", default=True, help="Wait until it is done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def populate(name: str, host: str | None, token: str | None, *, wait: bool, as_json: bool) -> None:
    """Make the target of the materialized view NAME anew from the rows of its source.

    Readers see the rows before, then those after; rows may be written meanwhile. A row that the source has no more (by
    a TTL, a deletion) is in the target no more either. All views that fill the target are asked.
    """
    client = connect(host, token)
    job = client.request("POST", f"/v1/materializations/{quote(name, safe='')}/populate").json()
    if wait:
        with progress() as tell:
            job = ended(client, job, lambda seen: tell(seen.get("progress") or f"{name}: {seen['status']}"))
    if as_json:
        print_json(job)
        return
    click.echo(f"{plural(job['rows'], 'row')} made by {name}" if wait else f"the job {job['id']} makes them")
