"""Running endpoint tests: one workspace in memory, the project's fixtures in it, each test one call."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

from clickpipe.config import Settings, folder_secrets
from clickpipe.deploy import Progress
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import read_folder
from clickpipe.query import FORMATS
from clickpipe.runtime import Instance, Workspace, load_fixtures
from clickpipe.testing.cases import EndpointTest, read_tests


@dataclass(frozen=True, slots=True)
class Outcome:
    """A test that ran: `problem` is '' when it passed, else what differs, over several lines."""

    test: EndpointTest
    problem: str = ""
    skipped: bool = False


def run_tests(root: Path, only: Collection[str] = (), progress: Progress = lambda _: None) -> Iterator[Outcome]:
    """Yield the outcome of each test of the project in `root`; `only` names the pipes to test (none: all).

    The project is deployed into memory with its fixtures; views fill from them, copies do not run.
    Raises ProjectError for a project with errors, ClickpipeError for a test file that cannot be read.
    """
    tests = [t for t in read_tests(root) if not only or t.pipe in only]
    missing = set(only) - {t.pipe for t in tests}
    if missing:
        message = f"there are no tests for {', '.join(sorted(missing))}: a pipe's tests are in tests/<pipe>.yaml"
        raise ClickpipeError(message, code="no_tests")
    if not tests:
        return
    progress("starting an engine in memory")
    with Instance(None, Settings(query_threads=1)) as instance:  # so that rows of equal keys come in one order
        workspace = instance.default
        texts, _ = read_folder(root)
        workspace.local_secrets = folder_secrets(root)
        progress("deploying the project")
        workspace.deploy(texts)
        load_fixtures(workspace, root, progress)
        for test in tests:
            yield run_test(workspace, test)


def run_test(workspace: Workspace, test: EndpointTest) -> Outcome:
    """Call the endpoint and compare. A file without a pipe of its name is skipped, as published clients do."""
    if test.pipe not in workspace.queries.live().compiled.project.pipes:
        return Outcome(test, f"there is no pipe '{test.pipe}'", skipped=True)
    try:
        body = workspace.endpoint(test.pipe, test.parameters, FORMATS["ndjson"]).body.decode()
        status = 200
    except ClickpipeError as error:
        body, status = error.message, error.status
    if status != test.status:
        return Outcome(test, f"expected status {test.status}, got {status}: {body.strip()[:1000]}")
    if status >= 400:  # noqa: PLR2004 - HTTP's errors
        return Outcome(test, _difference(test.expected.strip(), body.strip()))
    return Outcome(test, "" if _same_rows(test.expected, body) else _difference(test.expected, body))


def _same_rows(expected: str, body: str) -> bool:
    """Compare row by row as JSON: 1 and 1.0 are the same number, spaces and escapes do not matter."""
    try:
        return _rows(expected) == _rows(body)
    except ValueError:
        return expected.strip() == body.strip()


def _rows(text: str) -> list[object]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _difference(expected: str, body: str) -> str:
    lines = unified_diff(expected.splitlines(), body.splitlines(), "expected", "got", lineterm="", n=1)
    return "\n".join(lines)
