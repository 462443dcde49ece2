"""`clickpipe test`: run the project's tests, write what endpoints answer into them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from clickpipe.cli.endpoints import parse_params
from clickpipe.cli.output import plural, print_json, progress, say, style
from clickpipe.cli.project import FOLDER
from clickpipe.diagnostics import ClickpipeError

if TYPE_CHECKING:
    from clickpipe.testing import Outcome

_PROJECT = click.option("--project", "folder", type=FOLDER, default=Path(), help="The project's folder. Default: here")


class _RunByDefault(click.Group):
    """A group whose first word may be left out: it is `run` then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before what is no command of the group."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault, short_help="Run the tests in tests/, or record results in them.")
def test() -> None:
    """Run the project's tests (`clickpipe test` alone is `clickpipe test run`), or write them.

    The project is deployed into memory with its fixtures, and discarded afterwards.
    """


@test.command("run", short_help="Run the tests (the default).")
@click.argument("pipes", nargs=-1)
@_PROJECT
@click.option("--exact", is_flag=True, help="Compare texts byte by byte, as `tb test` does.")
@click.option("--format", "form", type=click.Choice(["text", "json", "junit"]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_context
def run(ctx: click.Context, pipes: tuple[str, ...], folder: Path, *, exact: bool, form: str, as_json: bool) -> None:
    """Run the tests in tests/<pipe>.yaml: all of them, or those of PIPES.

    Rows are compared as data. Their order matters only as far as the query's ORDER BY determines it. Exits with 1 if a
    test fails.
    """
    from clickpipe.testing import run_tests

    form = "json" if as_json else form
    outcomes = []
    with progress() as tell:
        for outcome in run_tests(folder, pipes, tell, exact=exact):
            outcomes.append(outcome)
            tell.clear()
            if form == "text":
                _print(outcome)
    failed = [o for o in outcomes if o.problem and not o.skipped]
    if form == "json":
        print_json([_as_dict(o) for o in outcomes])
    elif form == "junit":
        click.echo(_junit(outcomes))
    elif not outcomes:
        click.echo("no tests: a pipe's tests are in tests/<pipe>.yaml")
    else:
        skipped = sum(o.skipped for o in outcomes)
        more = f", {skipped} skipped" if skipped else ""
        click.echo(f"{plural(len(outcomes) - len(failed) - skipped, 'test')} passed, {len(failed)} failed{more}")
    ctx.exit(1 if failed else 0)


def _print(outcome: Outcome) -> None:
    verdict = ("skipped", "yellow") if outcome.skipped else ("failed", "red") if outcome.problem else ("ok", "green")
    click.echo(f"{style(verdict[0], fg=verdict[1])}  {outcome.test.pipe}: {outcome.test.name}")
    for line in outcome.problem.splitlines():
        click.echo(f"    {line}")


def _as_dict(outcome: Outcome) -> dict[str, object]:
    test = outcome.test
    passed = not outcome.problem
    return {"pipe": test.pipe, "file": test.file, "name": test.name, "passed": passed, "problem": outcome.problem}


def _junit(outcomes: list[Outcome]) -> str:
    from xml.etree import ElementTree as ET

    failed = sum(bool(o.problem) and not o.skipped for o in outcomes)
    skipped = sum(o.skipped for o in outcomes)
    counts = {"tests": str(len(outcomes)), "failures": str(failed), "skipped": str(skipped)}
    suite = ET.Element("testsuite", {"name": "clickpipe test", **counts})
    for outcome in outcomes:
        test = outcome.test
        case = ET.SubElement(suite, "testcase", {"classname": test.pipe, "name": test.name, "file": test.file})
        if outcome.skipped:
            ET.SubElement(case, "skipped", {"message": outcome.problem})
        elif outcome.problem:
            text = "".join(c for c in outcome.problem if c >= " " or c in "\t\n")
            ET.SubElement(case, "failure", {"message": text.splitlines()[0]}).text = text
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode")


@test.command("update")
@click.argument("pipes", nargs=-1, required=True)
@_PROJECT
def update(pipes: tuple[str, ...], folder: Path) -> None:
    """Record the current results of PIPES in their failing tests. Review the changes: git diff."""
    from clickpipe.testing import EndpointTest, read_tests, run_tests, update_file

    with progress() as tell:
        outcomes = list(run_tests(folder, pipes, tell))
    numbers: dict[int, int] = {}
    places: dict[str, int] = {}
    for index, one in enumerate([t for t in read_tests(folder) if t.pipe in pipes]):
        numbers[index] = places.get(one.file, 0)
        places[one.file] = numbers[index] + 1
    changes: dict[str, dict[int, tuple[str, int]]] = {}
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome.test, EndpointTest) and outcome.problem and not outcome.skipped:
            changes.setdefault(outcome.test.file, {})[numbers[index]] = outcome.got, outcome.status
    for file, found in changes.items():
        update_file(folder, file, found)
        click.echo(f"{file}: {plural(len(found), 'test')} changed")
    if not changes:
        say("all tests pass already")


@test.command("create")
@click.argument("pipe")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the call.")
@click.option("--name", help="The test's name. Default: made from its parameters.")
@click.option("--description", default="", help="What the test shows.")
@_PROJECT
def create(pipe: str, params: tuple[str, ...], name: str | None, description: str, folder: Path) -> None:
    """Add a test that expects PIPE's current result, with the fixtures.

    \b
    clickpipe test create get_popular_pages --param limit=3 --name top_three
    """
    from clickpipe.testing import EndpointTest, add_test, project_in_memory, read_tests, run_test

    query = urlencode(parse_params(params))
    name = name or ("_".join(p.replace("=", "_") for p in params) or "default")
    if any(t.name == name for t in read_tests(folder) if t.pipe == pipe):
        message = f"tests/{pipe}.yaml has a test '{name}' already: choose another --name"
        raise ClickpipeError(message, code="exists")
    values: dict[str, str | list[str]] = {}
    for key, value in parse_params(params):
        before = values.get(key, [])
        values[key] = [*(before if isinstance(before, list) else [before]), value] if key in values else value
    asked = EndpointTest(pipe, f"tests/{pipe}.yaml", name, description, values, "")
    with progress() as tell, project_in_memory(folder, tell) as instance:
        outcome = run_test(instance.default, asked)
    if outcome.skipped:
        raise ClickpipeError(outcome.problem, code="not_found")
    made = EndpointTest(pipe, asked.file, name, description, values, outcome.got, outcome.status)
    add_test(folder, made, query)
    click.echo(f"added {name} to {asked.file}: {plural(len(outcome.got.splitlines()), 'row')}")
