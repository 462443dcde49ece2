"""`clickpipe check`: compile the project and print everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import click

from clickpipe.cli.output import count_diagnostics, plural, print_diagnostics, progress

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command(short_help="Compile the project and print all diagnostics.")
@click.argument("folder", type=FOLDER, default=Path())
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "junit"]),
    default="text",
    help="text for people; json; github: annotations at the lines of a pull request; junit: XML for CI systems.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_context
def check(ctx: click.Context, folder: Path, form: str, *, as_json: bool) -> None:
    """Compile the project in FOLDER (here by default) and print all diagnostics.

    Every query is type-checked by ClickHouse on empty tables in memory. Exits with 1 when there are errors.
    """
    from clickpipe.diagnostics import has_errors, render_github, render_json, render_junit
    from clickpipe.runtime import check_folder

    with progress() as say:
        say("checking the project")
        compiled = check_folder(folder)
    found, sources = compiled.diagnostics, compiled.project.sources
    if as_json or form == "json":
        click.echo(render_json(found, sources))
    elif form == "github":
        if found:
            click.echo(render_github(found, sources))
    elif form == "junit":
        click.echo(render_junit(found, sources))
    elif found:
        print_diagnostics(found, sources)
    if not has_errors(found) and not as_json and form == "text":
        project = compiled.project
        what = f"{plural(len(project.data_sources), 'data source')}, {plural(len(project.pipes), 'pipe')}"
        click.echo(f"{what}: {count_diagnostics(found)}")
    ctx.exit(1 if has_errors(found) else 0)
