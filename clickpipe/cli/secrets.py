"""`clickpipe secret`: what templates ask for with `tb_secret()`."""

from __future__ import annotations

import sys
from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import print_json, print_table, say


@click.group(short_help="Secrets that templates read with tb_secret().")
def secret() -> None:
    """Set, list and remove secrets. The server encrypts them, and no command shows their values."""


@secret.command("set")
@click.argument("name")
@click.argument("value", required=False)
@server_options
def set_secret(host: str | None, token: str | None, *, name: str, value: str | None) -> None:
    """Set a secret. Without VALUE, you are asked for it, or it is read from standard input: no shell history has it.

    \b
    clickpipe secret set stripe_key
    cat key.pem | clickpipe secret set signing_key
    """
    if value is None:
        value = click.prompt(name, hide_input=True) if sys.stdin.isatty() else sys.stdin.read().rstrip("\n")
    connect(host, token).request("POST", "/v0/variables", data={"name": name, "value": value})
    say(f"{name} is set")


@secret.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_secrets(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List secrets by name."""
    found = connect(host, token).get("/v0/variables")["variables"]
    if as_json:
        print_json(found)
        return
    print_table(["name", "changed"], [(one["name"], one["updated_at"][:19]) for one in found])


@secret.command("rm")
@click.argument("name")
@server_options
def remove_secret(host: str | None, token: str | None, *, name: str) -> None:
    """Remove a secret."""
    connect(host, token).request("DELETE", f"/v0/variables/{quote(name, safe='')}")
    say(f"{name} is removed")
