"""`clickpipe workspace`: which workspace a token is of, with the id that JWTs name."""

from __future__ import annotations

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import print_json, print_table


@click.group(invoke_without_command=True, short_help="Show a token's workspace, and others that it can see.")
@click.pass_context
def workspace(ctx: click.Context) -> None:
    """Show a token's workspace (`clickpipe workspace` alone), or list those that it can see."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(current)


@workspace.command()
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def current(host: str | None = None, token: str | None = None, *, as_json: bool = False) -> None:
    """Print the name and the id of the token's workspace. JWTs need the id as `workspace_id`."""
    found = connect(host, token).get("/v1/workspace")
    if as_json:
        print_json({"name": found["name"], "id": found["id"]})
    else:
        click.echo(f"{found['name']}  {found['id']}")


@workspace.command("ls")
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(host: str | None = None, token: str | None = None, *, as_json: bool = False) -> None:
    """List the workspaces that the token can see. An admin token of the default one sees all."""
    rows = [(w["name"], w["id"]) for w in connect(host, token).get("/v1/user/workspaces")["workspaces"]]
    if as_json:
        print_json([{"name": name, "id": id_} for name, id_ in rows])
    else:
        print_table(("name", "id"), rows)
