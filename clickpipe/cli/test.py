"""`clickpipe test`: run the project's endpoint tests."""

from __future__ import annotations

from pathlib import Path

import click

from clickpipe.cli.output import plural, print_json, progress, style
from clickpipe.cli.project import FOLDER


@click.command(short_help="Run the tests in tests/*.yaml.")
@click.argument("pipes", nargs=-1)
@click.option("--project", "folder", type=FOLDER, default=Path(), help="The project's folder. Default: here")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(ctx: click.Context, pipes: tuple[str, ...], folder: Path, *, as_json: bool) -> None:
    """Run the tests in tests/<pipe>.yaml, of PIPES only when any are named.

    The project is deployed into memory with its fixtures, and thrown away afterwards. Exits with 1 when a
    test fails.
    """
    from clickpipe.testing import run_tests

    outcomes = []
    with progress() as tell:
        for outcome in run_tests(folder, pipes, tell):
            outcomes.append(outcome)
            tell.clear()
            if as_json:
                continue
            verdict = (
                ("skipped", "yellow") if outcome.skipped else ("failed", "red") if outcome.problem else ("ok", "green")
            )
            click.echo(f"{style(verdict[0], fg=verdict[1])}  {outcome.test.pipe}: {outcome.test.name}")
            for line in outcome.problem.splitlines():
                click.echo(f"    {line}")
    failed = [o for o in outcomes if o.problem and not o.skipped]
    skipped = sum(o.skipped for o in outcomes)
    if as_json:
        print_json(
            [
                {
                    "pipe": o.test.pipe,
                    "file": o.test.file,
                    "name": o.test.name,
                    "passed": not o.problem,
                    "problem": o.problem,
                }
                for o in outcomes
            ]
        )
    elif not outcomes:
        click.echo("no tests: a pipe's tests are in tests/<pipe>.yaml")
    else:
        more = f", {skipped} skipped" if skipped else ""
        click.echo(f"{plural(len(outcomes) - len(failed) - skipped, 'test')} passed, {len(failed)} failed{more}")
    ctx.exit(1 if failed else 0)
