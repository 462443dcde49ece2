"""`clickpipe render` and `clickpipe explain`: what a call of a pipe becomes, and how ClickHouse would run it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.endpoints import parse_params
from clickpipe.cli.output import print_json, progress, say
from clickpipe.cli.project import FOLDER
from clickpipe.diagnostics import ClickpipeError, did_you_mean

if TYPE_CHECKING:
    from clickpipe.compiler import CompiledProject
    from clickpipe.template import BoundSQL

_PARAM = click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")
_PROJECT = click.option("--project", "folder", type=FOLDER, default=Path(), help="The project's folder. Default: here")


@click.command(short_help="Print the SQL of a pipe, and the values bound to it.")
@click.argument("pipe")
@_PARAM
@click.option("--node", help="A node. Default: the one that the pipe publishes.")
@_PROJECT
@click.option("--json", "as_json", is_flag=True, help="Print sql, params and settings as JSON.")
def render(pipe: str, params: tuple[str, ...], node: str | None, folder: Path, *, as_json: bool) -> None:
    """Print the SQL that a call of PIPE runs, and the values bound to it.

    \b
    clickpipe render get_popular_pages --param limit=3

    The SQL uses the names of data sources. It never contains values: they are bound to {name:Type}.
    """
    compiled = _compiled(folder)
    bound = _bound(compiled, pipe, node, params)
    if as_json:
        print_json({"sql": bound.text.strip(), "params": bound.params, "settings": bound.settings})
        return
    click.echo(bound.text.strip())
    for title, values in (("bound", bound.params), ("settings", bound.settings)):
        if values:
            click.echo(f"\n-- {title}")
            for name, value in values.items():
                click.echo(f"-- {name} = {value!r}")


@click.command(short_help="Print how ClickHouse runs a pipe.")
@click.argument("pipe")
@_PARAM
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan's lines as JSON.")
def explain(pipe: str, params: tuple[str, ...], host: str | None, token: str | None, *, as_json: bool) -> None:
    """Print ClickHouse's plan for a call of the endpoint PIPE on a server, with the parts that its indexes skip.

    \b
    clickpipe explain get_popular_pages --param limit=3
    """
    answer = connect(host, token).request("GET", f"/v0/pipes/{quote(pipe)}/explain", params=parse_params(params)).json()
    if as_json:
        print_json(answer)
    else:
        click.echo("\n".join(answer["plan"]))


def _compiled(folder: Path) -> CompiledProject:
    from clickpipe.checking import load

    with progress() as tell:
        tell("compiling the project")
        return load(folder)


def _bound(compiled: CompiledProject, pipe: str, node: str | None, params: Iterable[str]) -> BoundSQL:
    from clickpipe.compiler import bind_node, node_parameters

    found = compiled.project.pipes.get(pipe)
    if found is None:
        hint = did_you_mean(pipe, compiled.project.pipes) or f"there are: {', '.join(compiled.project.pipes)}"
        message = f"the pipe '{pipe}' is not in the project: {hint}"
        raise ClickpipeError(message, code="not_found")
    chosen = found.output if node is None else found.node(node)
    if chosen is None:
        hint = did_you_mean(node or "", [n.name for n in found.nodes])
        message = f"the pipe '{pipe}' has no node '{node}'" + (f": {hint}" if hint else "")
        raise ClickpipeError(message, code="not_found")
    declared = [p.name for p in node_parameters(compiled, found, chosen)]
    values: dict[str, Any] = {}
    for name, value in parse_params(params):
        if name not in declared:
            say(
                f"warning: '{name}' is not a parameter: {did_you_mean(name, declared) or ', '.join(declared) or 'none'}"
            )
        before = values.get(name)
        values[name] = value if before is None else [*(before if isinstance(before, list) else [before]), value]
    return bind_node(compiled, found, chosen, values)
