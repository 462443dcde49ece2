"""`clickpipe init`: the files of a new project."""

from __future__ import annotations

from pathlib import Path

import click

from clickpipe.cli.output import print_json, say
from clickpipe.diagnostics import ClickpipeError


@click.command(short_help="Start a project.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--example/--no-example", default=True, help="Add a data source, an endpoint, data and a test.")
@click.option("--ci", type=click.Choice(["github", "gitlab"]), help="Add a pipeline that checks and deploys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(folder: Path, ci: str | None, *, example: bool, as_json: bool) -> None:
    """Start a project in FOLDER (here by default). Existing files are not changed."""
    from clickpipe.project import scaffold, scaffold_files

    try:
        written, kept = scaffold(folder, scaffold_files(example=example, ci=ci or ""))
    except OSError as error:
        message = f"{error.filename} cannot be written: {error.strerror}"
        raise ClickpipeError(message, code="unwritable") from None
    if as_json:
        print_json({"written": written, "kept": kept})
        return
    for name in written:
        click.echo(f"  + {folder / name}")
    for name in kept:
        click.echo(f"  = {folder / name} (was there)")
    enter = "" if folder.resolve() == Path.cwd() else f"cd {folder} && "
    say(f"\nNext: {enter}clickpipe dev")
