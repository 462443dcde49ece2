"""`clickpipe deployment`: what is live, what waits in staging, and the way back."""

from __future__ import annotations

from typing import Any

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.output import print_json, print_table, say
from clickpipe.diagnostics import ClickpipeError

_GONE = {"deleted", "failed"}


@click.group(short_help="Deployments: list, promote, discard, roll back.")
def deployment() -> None:
    """One deployment is live. There may be one more, a standby: it waits in staging, or was live before.

    New rows of the live deployment reach the standby too, so you can promote either at any moment.
    """


@deployment.command("ls")
@click.option("--all", "everything", is_flag=True, help="Include removed deployments.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_deployments(host: str | None, token: str | None, *, everything: bool, as_json: bool) -> None:
    """List deployments, newest first."""
    found = _listed(connect(host, token))
    found = found if everything else [d for d in found if d["status"] not in _GONE]
    if as_json:
        print_json(found)
        return
    live = next((int(d["id"]) for d in found if d["live"]), 0)
    rows = [(d["id"], _role(d, live), d["created_at"][:19]) for d in reversed(found)]
    print_table(["id", "status", "created (UTC)"], rows)


def _role(found: dict[str, Any], live: int) -> str:
    if found["live"]:
        return "live"
    if found["status"] != "data_ready":
        return str(found["status"]).replace("_", " ")
    return "staging" if int(found["id"]) > live else "previous"


@deployment.command("promote")
@server_options
def promote(host: str | None, token: str | None) -> None:
    """Make the deployment in staging live. `clickpipe deployment rollback` returns to the previous one."""
    _set_live(connect(host, token), "staging", "nothing is in staging: deploy with `clickpipe deploy --no-auto`")


@deployment.command("rollback")
@server_options
def rollback(host: str | None, token: str | None) -> None:
    """Return to the previous deployment. It has the rows that arrived since."""
    _set_live(connect(host, token), "previous", "no previous deployment is kept: deploy the older files again")


@deployment.command("discard")
@server_options
def discard(host: str | None, token: str | None) -> None:
    """Remove the deployment that is not live. The tables that only it uses are removed, too."""
    client = connect(host, token)
    found = _beside(client)
    if found is None:
        message = "there is no standby deployment"
        raise ClickpipeError(message, code="not_found")
    client.request("DELETE", f"/v1/deployments/{found['id']}")
    say(f"deployment {found['id']} is gone")


def _listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/v1/deployments", ("include_deleted", "true"))["deployments"]
    return found


def _beside(client: Client) -> dict[str, Any] | None:
    return next((d for d in _listed(client) if not d["live"] and d["status"] == "data_ready"), None)


def _set_live(client: Client, role: str, missing: str) -> None:
    listed = _listed(client)
    live = next((int(d["id"]) for d in listed if d["live"]), 0)
    found = next((d for d in listed if _role(d, live) == role), None)
    if found is None:
        raise ClickpipeError(missing, code="not_found")
    client.request("POST", f"/v1/deployments/{found['id']}/set-live")
    click.echo(
        f"deployment {found['id']} is live on {client.url}; {live} is kept" if live else f"{found['id']} is live"
    )
