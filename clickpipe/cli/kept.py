"""`clickpipe datasource rejected` and `clickpipe materialization`: rows that were kept aside, targets made anew."""

from __future__ import annotations

from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.data_files import ended
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.diagnostics import ClickpipeError


@click.group(short_help="Log segments that were set aside.")
def rejected() -> None:
    """List acknowledged events that were set aside, and insert them again.

    Their data source is gone, their file cannot be read to the end, or an older version set them aside.
    """


@rejected.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_rejected(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List what was set aside."""
    found = connect(host, token).get("/v1/rejected")["rejected"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("nothing is set aside")
        return
    rows = [(one["data_source"], one["file"], f"{one['rows']:,}", f"{one['size']:,}", one["since"]) for one in found]
    print_table(["data source", "file", "rows", "bytes", "since (UTC)"], rows, right=("rows", "bytes"))


@rejected.command("replay")
@click.argument("name", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def replay_rejected(name: str, host: str | None, token: str | None, *, as_json: bool) -> None:
    """Insert what was set aside. Handles the data source NAME, or all; each row is inserted once."""
    params = [("name", name)] if name else []
    found = connect(host, token).request("POST", "/v1/rejected/replay", params=params).json()
    if as_json:
        print_json(found)
        return
    if not found["segments"] and not found["left"]:
        say(f"nothing is set aside{f' of {name}' if name else ''}")
        return
    click.echo(f"{plural(found['segments'], 'segment')} inserted")
    if found["left"]:
        why = "their data source is not deployed, or they cannot be inserted yet"
        message = f"{plural(found['left'], 'segment')} still set aside: {why}. See `clickpipe datasource rejected ls`."
        raise ClickpipeError(message)


@click.group(short_help="Materialized views: rebuild their targets.")
def materialization() -> None:
    """Rebuild the targets of materialized views."""


@materialization.command("populate")
@click.argument("name")
@click.option("--wait/--no-wait", default=True, help="Wait until it is done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def populate(name: str, host: str | None, token: str | None, *, wait: bool, as_json: bool) -> None:
    """Rebuild a view's target from the rows of its source.

    Readers see the old rows, then the new ones. Rows may be written meanwhile. The target loses rows that the source no
    longer has (because of a TTL or a deletion). All views that fill the target are run.
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
