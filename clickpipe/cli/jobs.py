"""`clickpipe job` and `clickpipe copy`: what takes long, followed and ended; copy pipes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from clickpipe.cli.client import connect, server_options
from clickpipe.cli.data_files import ended
from clickpipe.cli.endpoints import parse_params
from clickpipe.cli.output import plural, print_json, print_table, progress, say
from clickpipe.cli.schedules import add_pause_and_resume, last_runs, told

_NAMES = ("kind", "status", "resource", "created_at", "updated_at", "error", "rows", "quarantine_rows")


@click.group(short_help="Jobs: imports, copies, deletions, deployments.")
def job() -> None:
    """List, show, cancel and retry jobs."""


@job.command("ls")
@click.option("--status", help="Only jobs with this status: waiting, working, done, error, cancelling, cancelled.")
@click.option("--kind", help="Only jobs of this kind: import, copy, delete_data, quarantine_replay, deployment.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_jobs(host: str | None, token: str | None, *, status: str | None, kind: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    params = [(name, value) for name, value in (("status", status), ("kind", kind)) if value]
    found = connect(host, token).get("/v0/jobs", *params)["jobs"]
    if as_json:
        print_json(found)
        return
    rows = [(j["id"], j["kind"], j["resource"], j["status"], j["created_at"][:19]) for j in found]
    print_table(["id", "kind", "resource", "status", "created (UTC)"], rows)


@job.command("show")
@click.argument("job_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait until the job has finished.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def show_job(host: str | None, token: str | None, *, job_id: str, wait: bool, as_json: bool) -> None:
    """Show a job's progress, and why it failed."""
    client = connect(host, token)
    found = client.get(f"/v0/jobs/{quote(job_id, safe='')}")
    if wait:
        with progress() as tell:
            found = ended(client, found, lambda seen: tell(f"{seen['kind']} of {seen['resource']}: {seen['status']}"))
    if as_json:
        print_json(found)
        return
    for name in _NAMES:
        if found.get(name) not in {None, ""}:
            click.echo(f"{name}: {found[name]}")


@job.command("cancel")
@click.argument("job_id", metavar="ID")
@server_options
def cancel_job(host: str | None, token: str | None, *, job_id: str) -> None:
    """Cancel a waiting or running job. Rows that an import has appended stay; a copy leaves nothing behind."""
    found = connect(host, token).request("POST", f"/v0/jobs/{quote(job_id, safe='')}/cancel").json()
    say(f"the job is {found['status']}")


@job.command("retry")
@click.argument("job_id", metavar="ID")
@server_options
def retry_job(host: str | None, token: str | None, *, job_id: str) -> None:
    """Run a finished job again; print the new job's id."""
    click.echo(connect(host, token).request("POST", f"/v0/jobs/{quote(job_id, safe='')}/retry").json()["id"])


@click.group(short_help="Copy pipes: run, pause, resume.")
def copy() -> None:
    """List and run copy pipes; pause and resume their schedules."""


@copy.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_copies(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List copy pipes. Shows their schedules (cron, UTC) and their last run."""
    client = connect(host, token)
    found = [p for p in client.get("/v0/pipes")["pipes"] if p["type"] == "copy"]
    last = last_runs(client, "copy")
    if as_json:
        print_json([{**_copy(p), "last_job": last.get(p["name"])} for p in found])
        return
    rows = []
    for pipe in found:
        schedule = pipe["copy_schedule"] + (" (paused)" if pipe["copy_paused"] else "")
        rows.append(
            (pipe["name"], pipe["copy_target_datasource"], pipe["copy_mode"], schedule, told(last.get(pipe["name"])))
        )
    print_table(["pipe", "target", "mode", "schedule", "last run (UTC)"], rows)


def _copy(pipe: dict[str, Any]) -> dict[str, Any]:
    return {"name": pipe["name"], **{key: value for key, value in pipe.items() if key.startswith("copy_")}}


@copy.command("run")
@click.argument("pipe")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipe.")
@click.option("--mode", type=click.Choice(["append", "replace"]), help="Override the pipe's COPY_MODE.")
@click.option("--wait/--no-wait", default=True, help="Wait until the copy has finished (the default).")
@click.option("--staging", is_flag=True, help="Use the deployment in staging.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def run_copy(
    host: str | None,
    token: str | None,
    *,
    pipe: str,
    params: tuple[str, ...],
    mode: str | None,
    wait: bool,
    staging: bool,
    as_json: bool,
) -> None:
    """Run a copy pipe now.

    \b
    clickpipe copy run snapshot_sessions --mode append
    """
    client = connect(host, token, staging=staging)
    given = [*parse_params(params), *([("_mode", mode)] if mode else [])]
    started = client.request("POST", f"/v0/pipes/{quote(pipe, safe='')}/copy", params=given).json()["job"]
    if wait:
        with progress() as tell:
            found = ended(client, started, lambda seen: tell(f"copying: {seen['status']}"))
    else:
        found = started
    if as_json:
        print_json(found)
    elif wait:
        click.echo(f"{plural(found.get('rows', 0), 'row')} copied")
    else:
        click.echo(found["id"])


add_pause_and_resume(copy, "copy")
