"""`clickpipe endpoint`: list endpoints, call one, print its URL, how it does."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, urlencode

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.logs import endpoint_errors, endpoint_stats
from clickpipe.cli.output import print_json, print_table, say
from clickpipe.cli.sql import print_result
from clickpipe.diagnostics import ClickpipeError, did_you_mean

_FORMATS = ["json", "ndjson", "csv", "parquet", "prometheus"]
_PARAM = click.option("--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; repeatable.")


@click.group()
def endpoint() -> None:
    """List and call endpoints, print their URLs and statistics."""


endpoint.add_command(endpoint_stats)
endpoint.add_command(endpoint_errors)


@endpoint.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_endpoints(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List endpoints with their parameters. Parameters in brackets have a default."""
    found = [p for p in connect(host, token).get("/v0/pipes")["pipes"] if p["type"] == "endpoint"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no endpoints: deploy a project with one, or use a token that may read them")
        return
    rows = [(p["name"], _signature(p["parameters"]), p["description"].strip().split("\n")[0]) for p in found]
    print_table(["name", "parameters", "description"], rows)


def _signature(parameters: Iterable[dict[str, object]]) -> str:
    shown = [f"{p['name']} {p['type']}" if p["required"] else f"[{p['name']} {p['type']}]" for p in parameters]
    return ", ".join(shown)


@endpoint.command("data")
@click.argument("name")
@_PARAM
@click.option("--format", "form", type=click.Choice(_FORMATS), help="Print the server's response in this format.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON array.")
@click.option("--stats", is_flag=True, help="Print time, rows and bytes read (to standard error).")
@click.option("--staging", is_flag=True, help="Call the deployment in staging.")
@server_options
def call_endpoint(
    name: str,
    params: tuple[str, ...],
    form: str | None,
    host: str | None,
    token: str | None,
    *,
    as_json: bool,
    stats: bool,
    staging: bool,
) -> None:
    """Call the endpoint NAME and print its rows.

    \b
    clickpipe endpoint data get_popular_pages --param limit=3
    """
    client = connect(host, token, staging=staging)
    values = parse_params(params)
    declared = None if staging else {p["name"] for p in client.get(f"/v0/pipes/{quote(name)}")["parameters"]}
    for given, _ in values:
        if declared is not None and given not in declared:
            hint = did_you_mean(given, declared) or f"it takes {', '.join(sorted(declared)) or 'none'}"
            message = f"the endpoint '{name}' has no parameter '{given}': {hint}"
            raise ClickpipeError(message, code="unknown_parameter")
    response = client.request("GET", f"/v0/pipes/{quote(name)}.{form or 'json'}", params=values)
    if form is not None:
        click.echo(response.content, nl=False)
        return
    print_result(response.json(), as_json=as_json, stats=stats)


@endpoint.command("url")
@click.argument("name")
@_PARAM
@click.option("--format", "form", type=click.Choice(_FORMATS), default="json", show_default=True)
@click.option("--with-token", is_flag=True, help="Add the token to the URL: anyone with the URL can use it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def endpoint_url(
    name: str,
    params: tuple[str, ...],
    form: str,
    host: str | None,
    token: str | None,
    *,
    with_token: bool,
    as_json: bool,
) -> None:
    """Print the URL of the endpoint NAME."""
    client = connect(host, token)
    pipe = client.get(f"/v0/pipes/{quote(name)}")
    if pipe["type"] != "endpoint":
        message = f"the pipe '{name}' is not an endpoint"
        raise ClickpipeError(message, code="not_found")
    query = [*parse_params(params), *([("token", client.token)] if with_token else [])]
    url = f"{client.url}/v0/pipes/{quote(name)}.{form}" + (f"?{urlencode(query)}" if query else "")
    if as_json:
        print_json({"url": url})
    else:
        click.echo(url)


def parse_params(params: Iterable[str]) -> list[tuple[str, str]]:
    """Return `name=value` texts as pairs. Raises click.BadParameter for another form."""
    pairs = []
    for text in params:
        name, equals, value = text.partition("=")
        if not equals or not name:
            message = f"'{text}' is not NAME=VALUE"
            raise click.BadParameter(message, param_hint="--param")
        pairs.append((name, value))
    return pairs
