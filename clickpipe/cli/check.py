"""`clickpipe check`: compile the project and print everything that is wrong."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clickpipe.cli.output import count_diagnostics, plural, print_diagnostics, print_json, progress
from clickpipe.cli.project import project_folder

if TYPE_CHECKING:
    from clickpipe.config import ProjectRules
    from clickpipe.folder import CheckResult


@click.command(short_help="Compile the project and print all diagnostics.")
@project_folder
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "junit"]),
    default="text",
    help="text for people; json; github: annotations for a pull request; junit: XML for CI systems.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--strict", is_flag=True, help='Report branches that cannot work as errors: broken_branches = "error".')
@click.option("--all", "every", is_flag=True, help="Print every diagnostic, even if there are more than twenty.")
@click.option("--summary", is_flag=True, help="Print what is in the project, and what it needs from its server.")
@click.option("--host", help="With --summary: the URL of a server, to show which of that it has.")
@click.option("--token", help="A token for that server that may read the workspace.")
@click.option("--no-cache", is_flag=True, help="Check everything, even if nothing changed since the last time.")
@click.pass_context
def check(
    ctx: click.Context,
    folder: Path,
    form: str,
    host: str | None,
    token: str | None,
    *,
    as_json: bool,
    strict: bool,
    every: bool,
    summary: bool,
    no_cache: bool,
) -> None:
    """Compile the project in FOLDER (here by default) and print all diagnostics.

    ClickHouse type-checks every query on empty tables in memory. Exits with 1 if there are errors, which make a
    resource unusable. A mistake that affects only some calls is a warning. The result is cached in
    FOLDER/.clickpipe/cache until a file changes.
    """
    from clickpipe.diagnostics import has_errors, render_github, render_json, render_junit

    if summary:
        ctx.exit(_summary(folder, host, token, strict=strict, as_json=as_json or form == "json"))
    result = _check(folder, strict=strict) if no_cache else _check_cached(folder, strict=strict)
    found, sources = result.diagnostics, result.sources
    if as_json or form == "json":
        click.echo(render_json(found, sources))
    elif form == "github":
        if found:
            click.echo(render_github(found, sources))
    elif form == "junit":
        click.echo(render_junit(found, sources))
    elif found:
        print_diagnostics(found, sources, every=every)
    if not has_errors(found) and not as_json and form == "text":
        what = f"{plural(result.data_sources, 'data source')}, {plural(result.pipes, 'pipe')}"
        click.echo(f"{what}: {count_diagnostics(found)}")
    ctx.exit(1 if has_errors(found) else 0)


def _summary(folder: Path, host: str | None, token: str | None, *, strict: bool, as_json: bool) -> int:
    """Print a project's summary; return the exit code."""
    from clickpipe.checking import check_folder
    from clickpipe.checking.summary import lines_of, summarise

    with progress() as say:
        say("checking the project")
        compiled = check_folder(folder, _rules(folder, strict=strict))
    found = summarise(compiled)
    has = _on_server(host, token) if host else None
    if as_json:
        shown = {
            **asdict(found),
            "resources": {k: {"total": t, "complete": c} for k, (t, c) in found.resources.items()},
        }
        print_json(shown if has is None else {**shown, "server": {kind: sorted(names) for kind, names in has.items()}})
    else:
        click.echo("\n".join(lines_of(found, has)))
    return 1 if found.errors else 0


def _on_server(host: str, token: str | None) -> dict[str, frozenset[str]]:
    """Return what a server has of what projects need: secrets, data sources, what copies may read."""
    from clickpipe.cli.client import connect

    client = connect(host, token)
    return {
        "secrets": frozenset(v["name"] for v in client.get("/v0/variables")["variables"]),
        "data sources": frozenset(d["name"] for d in client.get("/v0/datasources")["datasources"]),
        "copy_sources": frozenset(client.get("/v1/workspace").get("copy_sources", ())),
        "connections": frozenset(),
    }


def _check_cached(folder: Path, *, strict: bool) -> CheckResult:
    """Return what is known about the folder as it is; else check what changed in it."""
    from clickpipe.folder import CheckCache, folder_state, read_datafiles, text_digest

    rules = _rules(folder, strict=strict)
    files = read_datafiles(folder)
    cache, state = CheckCache(folder), f"{folder_state(files)}-{text_digest(rules.key().encode())[:8]}"
    result = cache.load(state)
    if result is None:
        from clickpipe.checking import check_changes

        with progress() as say:
            say("checking the project")
            result = check_changes(folder, files, rules)
        if files:
            cache.store(state, result)
    return result


def _rules(folder: Path, *, strict: bool) -> ProjectRules:
    from clickpipe.config import load_settings

    rules = load_settings(folder).rules()
    return replace(rules, lenient=False) if strict else rules


def _check(folder: Path, *, strict: bool) -> CheckResult:
    from clickpipe.checking import check_folder
    from clickpipe.folder import CheckResult

    with progress() as say:
        say("checking the project")
        compiled = check_folder(folder, _rules(folder, strict=strict))
    project = compiled.project
    return CheckResult(compiled.diagnostics, project.sources, len(project.data_sources), len(project.pipes))
