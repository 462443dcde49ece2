"""`clickpipe connection`: the connections of what is deployed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.data_files import awaited
from clickpipe.cli.output import print_json, print_table, progress, say


@click.group()
def connection() -> None:
    """Show the connections of a project, and try whether they work."""


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


@connection.command("check")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def check(host: str | None, token: str | None, *, name: str | None, as_json: bool) -> None:
    """Try the connection NAME of the live deployment, or all of them, from the server.

    For each data source and sink that uses it: do the brokers or the bucket answer, do they take the keys, and is there
    what it names? Reads no message, and writes no file. The exit code is 1 if anything fails.

    \b
    clickpipe connection check
    clickpipe connection check lake --json
    """
    client = connect(host, token)
    names = [name] if name else [each["name"] for each in client.get("/v0/connectors")["connectors"]]
    found = [{"connection": each, **check} for each in names for check in _checks(client, each)]
    if as_json:
        print_json(found)
    elif not found:
        say("no connections: deploy a project with a .connection file, or use a token that may read all of it")
    else:
        rows = [
            (c["connection"], c["name"], "failed" if c["problem"] else "ok", c["problem"] or c["found"]) for c in found
        ]
        print_table(["connection", "for", "state", "what was found"], rows)
    if any(check["problem"] for check in found):
        raise click.exceptions.Exit(1)


def _checks(client: Client, name: str) -> list[dict[str, Any]]:
    """Return what trying a connection found."""
    started = client.request("POST", f"/v1/connectors/{quote(name, safe='')}/check").json()
    with progress() as tell:
        job = awaited(client, started, lambda _: tell(f"trying {name}"))
    checks: list[dict[str, Any]] = job.get("checks") or []
    if job["status"] != "done" and not any(check["problem"] for check in checks):
        checks.append({"name": name, "found": "", "problem": job.get("error") or "the job was cancelled"})
    return checks
