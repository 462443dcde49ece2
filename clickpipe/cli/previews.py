"""`clickpipe preview`: the project of a git branch in a workspace of its own, with the rows of the live one."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.data_files import ended
from clickpipe.cli.deploy import deploy_to
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.cli.project import project_folder
from clickpipe.diagnostics import ClickpipeError

_MAIN = {"main", "master", "HEAD", ""}
# Where pipelines say which branch they run for: they check out a commit, not a branch.
_CI_BRANCH = ("GITHUB_HEAD_REF", "CI_COMMIT_REF_NAME")
_DATA = {"all": "all", "last": "last_partition", "none": "none"}


@click.group(short_help="Previews: try a branch on the live rows.")
def preview() -> None:
    """Try a branch's project on the live rows without changing them.

    A preview is a workspace that starts with the live project, its secrets and its rows, which are shared and not
    copied. What you deploy or write to it stays in it. It has its own tokens, and is removed after a week without a
    deployment (the server's setting preview_seconds).

    \b
    clickpipe preview deploy            this folder, named after the git branch
    clickpipe preview ls
    clickpipe preview token feature_x   for --token, or CLICKPIPE_TOKEN
    clickpipe preview rm feature_x
    """


@preview.command("deploy")
@project_folder
@click.option("--name", help="Default: the git branch.")
@click.option(
    "--data",
    type=click.Choice(list(_DATA)),
    default="all",
    show_default=True,
    help="Rows that a new preview starts with: all, those of the last partitions, none.",
)
@click.option("--check", "only_check", is_flag=True, help="Stop after the plan: nothing changes on the server.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's response.")
@server_options
@click.pass_context
def deploy_preview(
    ctx: click.Context,
    folder: Path,
    host: str | None,
    token: str | None,
    *,
    name: str | None,
    data: str,
    only_check: bool,
    as_json: bool,
) -> None:
    """Deploy the project in FOLDER to a preview. It is created if it does not exist.

    Data sources whose files are gone are removed with their rows, in the preview only.
    """
    client = connect(host, token)
    name = _name(name or _branch(folder))
    found = _find(client, name)
    if found is None and not only_check:
        found = _make(client, name, data)
    own = Client(client.url, found["token"]) if found else client  # a new one begins as what is live
    reply = deploy_to(own, folder, only_check=only_check, destructive=True, form="json" if as_json else "text")
    if as_json:
        print_json({**reply, "preview": name})
    elif reply["result"] != "failed" and found:
        say(f"call it with its token: clickpipe preview token {name}")
    ctx.exit(1 if reply["result"] == "failed" else 0)


def _find(client: Client, name: str) -> dict[str, Any] | None:
    response = client.request("GET", f"/v0/environments/{quote(name, safe='')}", accept=(404,))
    found: dict[str, Any] = response.json()
    return None if response.is_error else found


def _make(client: Client, name: str, data: str) -> dict[str, Any] | None:
    params = [("name", name), ("data", _DATA[data])]
    job = client.request("POST", "/v1/environments", params=params).json()["job"]
    with progress() as tell:
        tell(f"making the preview {name}")
        ended(client, job)
    say(f"preview {name} made, with {'the rows of live' if data == 'all' else 'rows: ' + data}")
    return _find(client, name)


def _branch(folder: Path) -> str:
    for variable in _CI_BRANCH:
        if os.environ.get(variable):
            return os.environ[variable]
    command = ["git", "-C", str(folder), "rev-parse", "--abbrev-ref", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _name(branch: str) -> str:
    if branch in _MAIN:
        found = f"the git branch is {branch}" if branch else "there is no git branch here"
        message = f"a preview needs a name: {found}. Use --name NAME, or switch to another branch."
        raise ClickpipeError(message, code="no_name")
    return re.sub(r"\W+", "_", branch, flags=re.ASCII).strip("_")[:128]


@preview.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the tokens.")
@server_options
def list_previews(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List previews, oldest first."""
    found = connect(host, token).get("/v1/environments")["environments"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("there are no previews")
        return
    rows = [(p["name"], p["created_at"][:19], _moment(p["expires_at"])) for p in found]
    print_table(["name", "created (UTC)", "goes (UTC)"], rows)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if seconds else "never"


@preview.command("token")
@click.argument("name")
@server_options
def preview_token(host: str | None, token: str | None, *, name: str) -> None:
    """Print a preview's admin token. Use: `CLICKPIPE_TOKEN=$(clickpipe preview token NAME) clickpipe sql …`."""
    click.echo(connect(host, token).get(f"/v0/environments/{quote(name, safe='')}")["token"])


@preview.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
def remove_preview(host: str | None, token: str | None, *, names: tuple[str, ...]) -> None:
    """Remove previews with their own data. The live rows stay."""
    client = connect(host, token)
    for name in names:
        client.request("DELETE", f"/v0/environments/{quote(name, safe='')}")
    click.echo(f"{plural(len(names), 'preview')} removed")
