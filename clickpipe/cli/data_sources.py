"""`clickpipe datasource`: list data sources, look into them, fill and empty them."""

from __future__ import annotations

import json
from typing import Any

import click

from clickpipe.cli.client import Client, connect, server_options
from clickpipe.cli.data_analyze import analyze_file, create
from clickpipe.cli.data_files import append, ended, replace, tell_of_views
from clickpipe.cli.kept import rejected
from clickpipe.cli.output import confirm, plural, print_json, print_table, say
from clickpipe.diagnostics import ClickpipeError


@click.group()
def datasource() -> None:
    """List, show, fill and empty the data sources of a server."""


datasource.add_command(append)
datasource.add_command(replace)
datasource.add_command(analyze_file)
datasource.add_command(create)
datasource.add_command(rejected)


@datasource.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def list_data_sources(host: str | None, token: str | None, *, as_json: bool) -> None:
    """List the data sources. Shows their rows, quarantined rows and bytes on disk."""
    found = connect(host, token).get("/v0/datasources")["datasources"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no data sources: deploy a project with one, or use a token that may read them")
        return
    rows = [
        (
            s["name"],
            _counted(s["statistics"]["row_count"]),
            _counted(s["quarantine_rows"]),
            _counted(s["statistics"]["bytes"]),
            s["description"].strip().split("\n")[0],
        )
        for s in found
    ]
    print_table(["name", "rows", "quarantine", "bytes", "description"], rows, right=("rows", "quarantine", "bytes"))


def _counted(number: int | None) -> str:
    """Return a count; a token that may read some rows only is not told how many there are."""
    return "-" if number is None else f"{number:,}"


@datasource.command("data")
@click.argument("name")
@click.option("--limit", type=click.IntRange(1), default=10, show_default=True, help="Rows to show.")
@click.option("--staging", is_flag=True, help="Use the deployment in staging.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def data(name: str, limit: int, host: str | None, token: str | None, *, staging: bool, as_json: bool) -> None:
    """Show some rows of the data source NAME."""
    found = _select(host, token, f"SELECT * FROM {_quoted(name)} LIMIT {limit}", staging=staging)
    if as_json:
        print_json(found["data"])
        return
    print_table([c["name"] for c in found["meta"]], [list(row.values()) for row in found["data"]])


@datasource.command("truncate")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--staging", is_flag=True, help="Use the deployment in staging.")
@server_options
def truncate(name: str, host: str | None, token: str | None, *, yes: bool, staging: bool) -> None:
    """Remove all rows of NAME (or of NAME_quarantine)."""
    client = connect(host, token, staging=staging)
    if not yes:
        confirm(f"Remove all rows of {name}?")
    found = client.request("POST", f"/v0/datasources/{name}/truncate", params=[("json", "true")]).json()
    click.echo(f"{name} is empty")
    tell_of_views(found)


@datasource.command("delete")
@click.argument("name")
@click.option("--where", "condition", required=True, help="SQL that selects the rows to delete: \"country = 'ES'\".")
@click.option("--dry-run", is_flag=True, help="Only show how many there are.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--wait/--no-wait", default=True, help="Wait until the rows are deleted.")
@click.option("--staging", is_flag=True, help="Use the deployment in staging.")
@server_options
def delete(
    name: str,
    condition: str,
    host: str | None,
    token: str | None,
    *,
    dry_run: bool,
    yes: bool,
    wait: bool,
    staging: bool,
) -> None:
    """Delete rows of NAME that match a condition."""
    client = connect(host, token, staging=staging)
    path, where = f"/v0/datasources/{name}/delete", ("delete_condition", condition)
    rows = client.request("POST", path, params=[where, ("dry_run", "true")]).json()["rows_to_be_deleted"]
    if dry_run or not rows:
        click.echo(f"{plural(rows, 'row')} of {name} would be deleted")
        return
    if not yes:
        confirm(f"Delete {plural(rows, 'row')} of {name}?")
    job = client.request("POST", path, params=[where]).json()
    if wait:
        job = ended(client, job)
    click.echo(
        f"{plural(job.get('rows_affected', rows), 'row')} deleted" if wait else f"the job {job['id']} deletes them"
    )
    tell_of_views(job)


@datasource.command("quarantine")
@click.argument("name")
@click.argument("action", type=click.Choice(["show", "replay"]), default="show")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Reasons to show.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def quarantine(name: str, action: str, limit: int, host: str | None, token: str | None, *, as_json: bool) -> None:
    """Show why rows of NAME are in quarantine. Each reason has a count and a sample row.

    After a fix, `clickpipe datasource quarantine NAME replay` inserts the rows that fit now, each once.
    """
    client = connect(host, token)
    path = f"/v1/datasources/{name}/quarantine"
    if action == "replay":
        job = ended(client, client.request("POST", f"{path}/replay").json())
        if as_json:
            print_json({"rows": job["rows"], "left": job["left"]})
            return
        click.echo(f"{plural(job['rows'], 'row')} moved to {name}, {job['left']:,} left in quarantine")
        return
    found = client.get(path, ("limit", str(limit)))["reasons"]
    if as_json:
        print_json(found)
        return
    if not found:
        say(f"no row of {name} is in quarantine")
        return
    rows = [(f"{reason['rows']:,}", reason["column"], reason["value"], reason["last"]) for reason in found]
    print_table(["rows", "column", "for example", "last"], rows, right=("rows",))
    click.echo(f"\nA row: {json.dumps(found[0]['row'], ensure_ascii=False)}")
    say(f"after a fix: clickpipe datasource quarantine {name} replay")


@datasource.command("sync")
@click.argument("name")
@click.option("--wait/--no-wait", default=True, help="Wait until the files are imported.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def sync(name: str, host: str | None, token: str | None, *, wait: bool, as_json: bool) -> None:
    """Import the files that are new in the bucket of NAME.

    Each version of a file is imported once. Files that could not be imported before are tried again.
    """
    client = connect(host, token)
    job = client.request("POST", f"/v0/datasources/{name}/scheduling/runs").json()
    _tell_of_files(client, name, job, wait=wait, as_json=as_json)


@datasource.command("sample")
@click.argument("name")
@click.option("--max-files", type=click.IntRange(1, 10), default=1, help="How many files: 1 (the default) to 10.")
@click.option("--wait/--no-wait", default=True, help="Wait until the files are imported.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@server_options
def sample(name: str, host: str | None, token: str | None, *, max_files: int, wait: bool, as_json: bool) -> None:
    """Import a few of the files that are new in the bucket of NAME, oldest first, to see whether they fit.

    `sync`, or the schedule, imports the others later. In a preview, too: there nothing is imported by itself.

    \b
    clickpipe datasource sample orders --max-files 3
    """
    client = connect(host, token)
    job = client.request("POST", f"/v0/datasources/{name}/sample", json={"max_files": max_files}).json()["job"]
    _tell_of_files(client, name, job, wait=wait, as_json=as_json)


def _tell_of_files(client: Client, name: str, job: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    if wait:
        job = ended(client, job)
    if as_json:
        print_json(job)
        return
    if not wait:
        click.echo(f"the job {job['id']} imports the files")
        return
    click.echo(f"{plural(job['files_done'], 'file')} imported into {name}: {plural(job['rows'], 'row')}")
    if job["quarantine_rows"]:
        say(f"{plural(job['quarantine_rows'], 'row')} in quarantine: clickpipe datasource quarantine {name}")


@datasource.command("stop")
@click.argument("name")
@server_options
def stop(name: str, host: str | None, token: str | None) -> None:
    """Stop reading the topic or bucket of NAME, until `start`.

    It stays stopped across deployments and restarts, and nothing is skipped.
    """
    connect(host, token).request("POST", f"/v0/datasources/{name}/stop")
    click.echo(f"{name} reads no more: clickpipe datasource start {name} goes on where it was")


@datasource.command("start")
@click.argument("name")
@server_options
def start(name: str, host: str | None, token: str | None) -> None:
    """Go on reading the topic or bucket of NAME, where it was stopped."""
    connect(host, token).request("POST", f"/v0/datasources/{name}/start")
    click.echo(f"{name} reads")


def _select(host: str | None, token: str | None, sql: str, *, staging: bool = False) -> Any:
    return connect(host, token, staging=staging).get("/v0/sql", ("q", f"{sql.strip()} FORMAT JSON"))


def _quoted(name: str) -> str:
    if not name.replace("_", "").isalnum():
        message = f"'{name}' is not a valid data source name"
        raise ClickpipeError(message, code="bad_name")
    return f"`{name}`"
