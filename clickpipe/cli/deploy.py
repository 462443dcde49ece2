"""`clickpipe deploy`: send the project to a server, show the plan, apply it, promote it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from clickpipe.cli.client import Client, FilePart, connect, server_options
from clickpipe.cli.output import fail, plural, print_diagnostics, print_json, print_table, progress, say, style
from clickpipe.cli.project import project_folder
from clickpipe.diagnostics import ClickpipeError, ProjectError, Sources, from_dict

_POLL_SECONDS = 0.5
_EXTENT = ("rows", "on disk", "about")
_ENDED = {"failed", "deleting", "deleted"}
_Reply = Mapping[str, Any]


@click.command(short_help="Deploy the project to a server.")
@project_folder
@click.option("--check", "only_check", is_flag=True, help="Stop after the plan: nothing changes on the server.")
@click.option(
    "--allow-destructive-operations",
    "destructive",
    is_flag=True,
    help="Allow removing data sources whose files are gone, with their rows.",
)
@click.option(
    "--skip-incomplete",
    is_flag=True,
    help="Leave out pipes that need data sources outside the project, and deploy the rest.",
)
@click.option(
    "--auto/--no-auto", "auto", default=True, help="Promote the deployment (the default), or leave it in staging."
)
@click.option("--wait/--no-wait", default=True, help="Wait until it is ready (the default).")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    help="text for people; json: the server's response; github: Markdown, for a comment or a job summary.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@server_options
@click.pass_context
def deploy(
    ctx: click.Context,
    folder: Path,
    host: str | None,
    token: str | None,
    *,
    only_check: bool,
    destructive: bool,
    skip_incomplete: bool,
    auto: bool,
    wait: bool,
    form: str,
    as_json: bool,
) -> None:
    """Deploy the project in FOLDER (here by default) to a server.

    The server compiles the project and plans the changes. The plan is shown and applied, and the deployment
    promoted. The live deployment does not change until everything is ready, or if anything fails. With --no-auto
    the new one waits in staging, where `--staging` reads it, until `clickpipe deployment promote`. Exits with 1
    if the project has errors, the plan is refused or the deployment fails.
    """
    form = "json" if as_json else form
    client = connect(host, token)
    reply = deploy_to(
        client,
        folder,
        only_check=only_check,
        destructive=destructive,
        skip_incomplete=skip_incomplete,
        auto=auto,
        wait=wait,
        form=form,
    )
    if form == "json":
        print_json(reply)
    ctx.exit(1 if reply["result"] == "failed" else 0)


def deploy_to(
    client: Client,
    folder: Path,
    *,
    only_check: bool,
    destructive: bool,
    skip_incomplete: bool = False,
    auto: bool = True,
    wait: bool = True,
    form: str,
) -> _Reply:
    """Deploy a folder and tell of it as `form` says (json: nothing); return the server's last reply.

    Raises ClickpipeError, ProjectError for files that cannot be read.
    """
    quiet = form != "text"
    sources, parts = _read(folder)
    options = [("allow_destructive_operations", "true")] if destructive else []
    options += [("skip_incomplete", "true")] if skip_incomplete else []
    with progress() as tell:
        tell(f"checking the project on {client.url}")
        reply = _post(client, [("check", "true"), *options], parts)
    plan = reply["deployment"]
    if not quiet or reply["result"] == "failed":
        _show_plan(reply, sources, quiet=quiet)
    if reply["result"] == "success" and not only_check:
        started = time.monotonic()
        with progress() as tell:
            tell("deploying")
            reply = _post(client, [*([("auto_promote", "true")] if auto else []), *options], parts)
            reply = _wait(client, reply, tell, auto=auto) if wait else reply
        if not quiet:
            _show_end(reply, time.monotonic() - started, client)
    if form == "github":
        click.echo(_markdown(reply, plan))
    return reply


def _read(folder: Path) -> tuple[Sources, list[FilePart]]:
    from clickpipe.config import SETTINGS_FILE, require_inside
    from clickpipe.project import read_folder

    texts, unreadable = read_folder(folder)
    if unreadable:
        raise ProjectError(unreadable, Sources(texts))
    if not texts:
        message = f"there are no datafiles (.datasource, .pipe) in {folder.resolve()}"
        raise ClickpipeError(message, code="no_datafiles")
    settings = require_inside(folder, folder / SETTINGS_FILE)  # what it says of strictness holds for the deployment too
    sent = {**texts, SETTINGS_FILE: settings.read_text(encoding="utf-8")} if settings.is_file() else texts
    return Sources(texts), [("data_project://", (name, text.encode(), "text/plain")) for name, text in sent.items()]


def _post(client: Client, params: Sequence[tuple[str, str]], parts: Sequence[FilePart]) -> _Reply:
    response = client.request("POST", "/v1/deploy", params=params, files=parts, accept=(400,))
    reply: dict[str, Any] = response.json()
    if "deployment" not in reply:
        raise ClickpipeError(reply.get("error", response.text), status=response.status_code)
    return reply


def _wait(client: Client, reply: _Reply, tell: Any, *, auto: bool) -> _Reply:
    """Poll until the deployment is live (or ready, when it is to wait) or has failed."""
    deployment = reply["deployment"]
    ended = _ENDED if auto else {*_ENDED, "data_ready"}
    while reply["result"] == "success" and not deployment["live"] and deployment["status"] not in ended:
        tell(f"deploying: {deployment.get('progress') or deployment['status'].replace('_', ' ')}")
        time.sleep(_POLL_SECONDS)
        deployment = client.get(f"/v1/deployments/{deployment['id']}")["deployment"]
        result = "failed" if deployment["status"] == "failed" else "success"
        reply = {**reply, "result": result, "deployment": deployment}
    return reply


def _show_plan(reply: _Reply, sources: Sources, *, quiet: bool) -> None:
    deployment = reply["deployment"]
    diagnostics = [from_dict(d, sources) for d in deployment.get("diagnostics", ())]
    if diagnostics:
        print_diagnostics(diagnostics, sources)
    if not quiet:
        _show_changes(deployment)
    for remark in deployment["feedback"]:
        if remark["level"] == "ERROR":
            place = f":{remark['line']}:{remark['column']}" if "line" in remark else ""
            fail(f"{remark['resource']}{place}: {remark['message']}")
        else:
            say(f"{remark['level'].lower()}: {remark['resource']}: {remark['message']}")
    if reply["result"] == "no_changes":
        say("no changes: the server already runs this project")


def _show_changes(deployment: _Reply) -> None:
    for kind, mark, tone in (("new", "+", "green"), ("changed", "~", "yellow"), ("deleted", "-", "red")):
        for what, ending in (("datasource", ".datasource"), ("pipe", ".pipe"), ("data_connector", ".connection")):
            for name in deployment.get(f"{kind}_{what}_names", ()):
                click.echo(style(f"  {mark} {name}{ending}", fg=tone))
    for name in deployment.get("changed_files", ()):
        click.echo(style(f"  ~ {name}", fg="yellow"))
    steps = deployment.get("steps", ())
    if steps:
        rows = [(s["category"], s["resource"], s["reason"], *_extent(s)) for s in steps]
        print_table(["step", "resource", "reason", *_EXTENT], rows, right=_EXTENT)


def _extent(step: _Reply) -> tuple[str, str, str]:
    """Return the rows of a step, their size on disk, and about how long it takes."""
    seconds = f"{step['seconds']:,.1f} s" if step["seconds"] else ""
    return f"{step['rows']:,}", f"{step['bytes'] / 1e6:,.1f} MB" if step["bytes"] else "", seconds


def _markdown(reply: _Reply, plan: _Reply) -> str:
    """Return the plan, and what became of it, as GitHub shows it."""
    deployment, kinds = reply["deployment"], (("new", "+"), ("changed", "~"), ("deleted", "-"))
    verdict = {"no_changes": "nothing changes", "failed": "**refused**", "success": "can be applied"}[reply["result"]]
    if plan is not deployment and reply["result"] == "success":
        verdict = f"deployment {deployment['id']} {'is live' if deployment['live'] else 'waits in staging'}"
    changes = [
        f"- `{mark} {name}{ending}`"
        for kind, mark in kinds
        for what, ending in (("datasource", ".datasource"), ("pipe", ".pipe"))
        for name in plan.get(f"{kind}_{what}_names", ())
    ]
    steps = [
        f"| {s['category']} | `{s['resource']}` | {s['reason']} | {' | '.join(_extent(s))} |"
        for s in plan.get("steps", ())
    ]
    head = [f"| step | resource | reason | {' | '.join(_EXTENT)} |", f"| --- | --- | --- |{' ---: |' * len(_EXTENT)}"]
    table = [*head, *steps] if steps else []
    told = [f"- {r['level'].lower()}: {r['resource']}: {r['message']}" for r in plan.get("feedback", ())]
    told += [f"- error: {e['filename']}: {e['error']}" for e in deployment.get("errors", ())]
    parts = [f"### clickpipe: {verdict}", "\n".join(changes), "\n".join(table), "\n".join(told)]
    return "\n\n".join(part for part in parts if part)


def _show_end(reply: _Reply, seconds: float, client: Client) -> None:
    deployment = reply["deployment"]
    if reply["result"] == "failed":
        for error in deployment["errors"]:
            fail(f"{error['filename']} {error['error']}".strip())
        say("the deployment failed; the previous one is still live")
        return
    changed = sum(len(deployment.get(f"{kind}_pipe_names", ())) for kind in ("new", "changed"))
    what = f", {plural(changed, 'pipe')} new or changed" if changed else ""
    if not deployment["live"]:
        state = "waits in staging" if deployment["status"] == "data_ready" else "is under way"
        click.echo(f"deployment {deployment['id']} {state} on {client.url}: clickpipe deployment promote")
        return
    click.echo(f"deployment {deployment['id']} is live on {client.url} ({seconds:.1f} s{what})")
