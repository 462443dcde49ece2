"""`clickpipe token`: the tokens of a workspace."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.output import print_json, print_table, say
from clickpipe.diagnostics import ClickpipeError

_SHOWN = 6
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LIFE = re.compile(r"^(\d+)([smhdw])$")


@click.group()
def token() -> None:
    """List, create, change and remove tokens."""


@token.command("ls")
@click.option("--show", is_flag=True, help="Print the tokens' full values, not only how they start.")
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
    print_table(
        ["name", "scopes", "token"], [(t["name"], ", ".join(map(_scope, t["scopes"])), t["token"]) for t in found]
    )
    if not show:
        say("--show prints the values")


@token.command("create")
@click.argument("name")
@click.argument("scopes", nargs=-1, required=True, metavar="SCOPE...")
@click.option("--for", "life", metavar="TIME", help="How long the token is valid: 30m, 12h, 90d.")
@click.option("--jwt", is_flag=True, help="Sign a token (JWT) that the server does not store; needs --for.")
@click.option(
    "--fix", "fixed", multiple=True, metavar="PIPE.PARAM=VALUE", help="A parameter that no request can change."
)
@click.option("--rps", type=click.IntRange(1), metavar="N", help="Requests per second.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=N", help="A limit for each query, such as max_seconds=2."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def create_token(
    host: str | None,
    token: str | None,
    *,
    name: str,
    scopes: tuple[str, ...],
    life: str | None,
    jwt: bool,
    fixed: tuple[str, ...],
    rps: int | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Create a token and print its value.

    A SCOPE is a text such as PIPES:READ:top_pages, DATASOURCES:APPEND:events, WORKSPACE:READ_ALL, TOKENS or ADMIN. A
    condition after a data source limits it to some rows.

    \b
    clickpipe token create dashboard PIPES:READ:top_pages --for 90d
    clickpipe token create spain "DATASOURCES:READ:events:country = 'ES'"
    clickpipe token create acme PIPES:READ:top_pages --jwt --for 1h --fix top_pages.tenant=acme --rps 10
    clickpipe token create reports PIPES:READ:sales --limit max_seconds=2 --limit max_rows_to_read=1000000
    """
    if jwt and not life:
        message = "--jwt needs --for, the token's lifetime, such as 1h"
        raise ClickpipeError(message, code="usage")
    body: dict[str, Any] = {"scopes": _objects(scopes, fixed)}
    params = [("name", name)]
    if life:
        params.append(("expiration_time" if jwt else "expires_at", str(int(time.time()) + _seconds(life))))
    if rps or limits:
        body["limits"] = {**_limits(limits), **({"rps": rps} if rps else {})}
    made = connect(host, token).request("POST", "/v0/tokens", params=params, json=body).json()
    for warning in made.get("warnings", ()):
        say(f"warning: {warning}")
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@token.command("rm")
@click.argument("name")
@server_options
def remove_token(host: str | None, token: str | None, *, name: str) -> None:
    """Remove a token by its name or id, or revoke a JWT."""
    connect(host, token).request("DELETE", f"/v0/tokens/{quote(name, safe='')}")
    say(f"{name if len(name) < 50 else name[:_SHOWN] + '…'} no longer works")  # noqa: PLR2004


@token.command("refresh")
@click.argument("name")
@server_options
def refresh_token(host: str | None, token: str | None, *, name: str) -> None:
    """Give a token a new value and print it. The old value stops working."""
    click.echo(connect(host, token).request("POST", f"/v0/tokens/{quote(name, safe='')}/refresh").json()["token"])


@token.command("scopes")
@click.argument("name")
@click.option("--set", "wanted", multiple=True, metavar="SCOPE", help="Replace the token's scopes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def show_scopes(host: str | None, token: str | None, *, name: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """Print a token's scopes, or change them with --set."""
    client, path = connect(host, token), f"/v0/tokens/{quote(name, safe='')}"
    found = client.request("PUT", path, json={"scopes": _objects(wanted, ())}).json() if wanted else client.get(path)
    if as_json:
        print_json(found["scopes"])
        return
    for scope in found["scopes"]:
        click.echo(_scope(scope))


def _limits(given: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in given:
        name, _, number = text.partition("=")
        if not number.isdecimal():
            message = f"--limit {text}: expected a name and a whole number, like max_seconds=2"
            raise ClickpipeError(message, code="usage")
        found[name] = int(number)
    return found


def _objects(scopes: tuple[str, ...], fixed: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return scopes as the API takes them. Raises ClickpipeError."""
    found: list[dict[str, Any]] = []
    for text in scopes:
        kind, action, *rest = [*text.split(":", 3), ""]
        parts = [part for part in (kind, action) if part]
        one: dict[str, Any] = {"type": ":".join(parts)}
        one |= {key: part for key, part in zip(("resource", "filter"), rest, strict=False) if part}
        found.append(one)
    for text in fixed:
        pipe, dot, rest_ = text.partition(".")
        param, equals, value = rest_.partition("=")
        scope = next((s for s in found if s["type"] == "PIPES:READ" and s.get("resource") == pipe), None)
        if not dot or not equals or scope is None:
            message = f"--fix {text!r} is not PIPE.PARAM=VALUE of a pipe that a scope PIPES:READ:PIPE names"
            raise ClickpipeError(message, code="usage")
        scope.setdefault("fixed_params", {})[param] = value
    return found


def _seconds(life: str) -> int:
    match = _LIFE.match(life.strip())
    if match is None:
        message = f"--for {life!r} is not a time like 30m, 12h or 90d"
        raise ClickpipeError(message, code="usage")
    return int(match[1]) * _UNITS[match[2]]


def _scope(scope: dict[str, Any]) -> str:
    text = ":".join(filter(None, (scope["type"], scope.get("resource"), scope.get("filter"))))
    fixed = ", ".join(f"{name}={value}" for name, value in scope.get("fixed_params", {}).items())
    return f"{text} ({fixed})" if fixed else text
