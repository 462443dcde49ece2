"""`clickpipe connection`: the connections of what is deployed."""

from __future__ import annotations

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import print_json, print_table, say


@click.group()
def connection() -> None:
    """Show the connections of a project, and whether its data sources read through them."""


@connection.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List the connections of the live deployment: who reads through each, how that is going, and the last error."""
    found = connect(host, token).get("/v0/connectors")["connectors"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no connections: deploy a project with a .connection file, or use a token that may read all of it")
        return
    rows = [
        (each["name"], each["service"], linker["name"], linker["state"], linker["error"])
        for each in found
        for linker in each["linkers"] or [{"name": "-", "state": "-", "error": ""}]
    ]
    print_table(["connection", "type", "data source", "state", "last error"], rows)
