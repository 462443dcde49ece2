"""`clickpipe token`: the tokens of a workspace."""

from __future__ import annotations

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import print_json, print_table, say

_SHOWN = 6


@click.group()
def token() -> None:
    """List the tokens of a workspace."""


@token.command("ls")
@click.option("--show", is_flag=True, help="Print the tokens' values, not only how they begin.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_tokens(host: str | None, token: str | None, *, show: bool, as_json: bool) -> None:
    """List tokens and what each may do; --show prints their values."""
    found = connect(host, token).get("/v0/tokens")["tokens"]
    for one in found:
        if not show:
            one["token"] = one["token"][:_SHOWN] + "…"
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            ", ".join(":".join(filter(None, (s["type"], s.get("resource")))) for s in one["scopes"]),
            one["token"],
        )
        for one in found
    ]
    print_table(["name", "scopes", "token"], rows)
    if not show:
        say("--show prints the values")
