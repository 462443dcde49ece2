"""Runs tests in a workspace in memory that contains the project's fixtures, several at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from clickpipe.config import Settings, folder_secrets
from clickpipe.deploy import Progress
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.project import Project, TableEngine, load_folder
from clickpipe.query import FORMATS
from clickpipe.runtime import Instance, Workspace, load_fixtures
from clickpipe.sql import Syntax, order_keys, quote_identifier
from clickpipe.testing.cases import CommandTest, EndpointTest, QualityTest, SkippedTest, Test, read_tests
from clickpipe.testing.rows import csv_rows, difference, ndjson_rows, text_difference, tsv_rows

_AT_ONCE = 4
_SHOWN = 5  # rows to show if a data quality check finds some


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a test: `problem` is '' if it passed, else the differences; `got` is the actual response."""

    test: Test
    problem: str = ""
    skipped: bool = False
    got: str = ""
    status: int = 200


def run_tests(
    root: Path, only: Collection[str] = (), progress: Progress = lambda _: None, *, exact: bool = False
) -> Iterator[Outcome]:
    """Yield the outcome of each test of the project in `root`, in order; `only` names the pipes to test (empty: all).

    `exact` compares text byte by byte. Raises ProjectError for a project with errors, ClickpipeError for an invalid
    test file.
    """
    found = list(read_tests(root))
    tests = [t for t in found if not only or t.pipe in only]
    missing = set(only) - {t.pipe for t in tests}
    if missing:
        hint = did_you_mean(min(missing), {t.pipe for t in found}) or "a pipe's tests are in tests/<pipe>.yaml"
        message = f"there are no tests for {', '.join(sorted(missing))}: {hint}"
        raise ClickpipeError(message, code="no_tests")
    if not tests:
        return
    with project_in_memory(root, progress) as instance, ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda test: run_test(instance.default, test, exact=exact), tests)


@contextmanager
def project_in_memory(root: Path, progress: Progress = lambda _: None) -> Iterator[Instance]:
    """Yield an in-memory instance of the project in `root` with its fixtures; views fill from them, copies do not run.

    TTLs are left out, so that rows do not expire. Raises ProjectError.
    """
    progress("starting an engine in memory")
    settings = Settings(query_threads=1, workers=_AT_ONCE)  # one thread: rows with equal keys keep their order
    with Instance(None, settings) as instance:
        workspace = instance.default
        workspace.local_secrets = folder_secrets(root)
        progress("deploying the project")
        prepared = workspace.deployments.prepare_project(_without_ttl(load_folder(root)))
        workspace.deployments.apply(workspace.deployments.start(prepared), prepared)
        load_fixtures(workspace, root, progress)
        yield instance


def _without_ttl(project: Project) -> Project:
    sources = {n: replace(s, engine=_ageless(s.engine)) for n, s in project.data_sources.items()}
    pipes = {n: replace(p, engine=_ageless(p.engine)) if p.engine else p for n, p in project.pipes.items()}
    return replace(project, data_sources=sources, pipes=pipes)


def _ageless(engine: TableEngine) -> TableEngine:
    return replace(engine, options={name: word for name, word in engine.options.items() if name != "TTL"})


def run_test(workspace: Workspace, test: Test, *, exact: bool = False) -> Outcome:
    """Run a test and compare its result. A file without a pipe of its name is skipped, as published clients do."""
    if isinstance(test, SkippedTest):
        return Outcome(test, test.reason, skipped=True)
    if isinstance(test, QualityTest):
        return _run_quality(workspace, test)
    if isinstance(test, CommandTest):
        return _run_command(workspace, test, exact=exact)
    pipes = workspace.queries.live().compiled.project.pipes
    if test.pipe not in pipes:
        hint = did_you_mean(test.pipe, pipes)
        return Outcome(test, f"there is no pipe '{test.pipe}'" + (f": {hint}" if hint else ""), skipped=True)
    body, status = _answer(workspace, test)
    return Outcome(test, _problem(workspace, test, body, status, exact=exact), got=body, status=status)


def _answer(workspace: Workspace, test: EndpointTest) -> tuple[str, int]:
    """Return a call's response; the rows of a pipe that is no endpoint, as TSV unless NDJSON is expected."""
    try:
        if test.pipe in workspace.queries.live().compiled.endpoints:
            return workspace.endpoint(test.pipe, test.parameters, FORMATS["ndjson"]).body.decode(), 200
        output = "ndjson" if ndjson_rows(test.expected) is not None and test.expected.strip() else "TSV"
        sql = f"SELECT * FROM {quote_identifier(test.pipe)}"
        return workspace.select(sql, output, test.parameters).decode(), 200
    except ClickpipeError as error:
        return error.message, error.status


def _problem(workspace: Workspace, test: EndpointTest, body: str, status: int, *, exact: bool) -> str:
    if status != test.status:
        return f"expected status {test.status}, got {status}: {body.strip()[:1000]}"
    if status >= 400:  # noqa: PLR2004 - HTTP errors
        expected, said = test.expected.strip(), body.strip()
        told_more = expected and said.startswith(f"{expected}: the ")  # more than Tinybird's
        return "" if told_more else text_difference(expected, said)
    endpoint = test.pipe in workspace.queries.live().compiled.endpoints
    rows = ndjson_rows if endpoint or body.lstrip().startswith("{") else tsv_rows
    wanted, found = rows(test.expected), rows(body)
    if exact or wanted is None or found is None:
        return text_difference(test.expected, body)
    return difference(wanted, found, _keys(workspace, test.pipe, test.parameters), test.tolerance)


def _keys(workspace: Workspace, pipe: str, parameters: object) -> tuple[str | int, ...] | None:
    """Return the columns that order an endpoint's rows, with these parameters; other pipes have no order."""
    live = workspace.queries.live()
    if pipe not in live.compiled.endpoints:
        return ()
    bound = live.compiled.endpoints[pipe].bind_to(live.table, dict(parameters), workspace.secret)  # type: ignore[call-overload]
    return _order_of(workspace, bound.text)


def _order_of(workspace: Workspace, sql: str) -> tuple[str | int, ...] | None:
    syntax = workspace.queries.live().compiled.reader.read(sql)
    return order_keys(syntax.tree) if isinstance(syntax, Syntax) else None


def _run_quality(workspace: Workspace, test: QualityTest) -> Outcome:
    try:
        rows = workspace.select(test.sql.strip().removesuffix(";"), "ndjson").decode().splitlines()
    except ClickpipeError as error:
        return Outcome(test, error.message, status=error.status)
    if not rows:
        return Outcome(test)
    more = [f"… and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
    return Outcome(test, "\n".join(["it must return nothing, but returns", *rows[:_SHOWN], *more]))


def _run_command(workspace: Workspace, test: CommandTest, *, exact: bool) -> Outcome:
    try:
        if test.endpoint:
            found = workspace.endpoint(test.endpoint, test.parameters, FORMATS["csv"]).body.decode()
            keys = _keys(workspace, test.endpoint, test.parameters)
        else:
            found = workspace.select(test.sql, "csv").decode()
            keys = _order_of(workspace, test.sql)
    except ClickpipeError as error:
        return Outcome(test, error.message, status=error.status)
    if exact:
        return Outcome(test, text_difference(test.expected, found), got=found)
    return Outcome(test, difference(csv_rows(test.expected), csv_rows(found), keys), got=found)
