"""Nothing works on the names of a deployment that was replaced: not events, queries, copies, populations."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from clickpipe.catalog import Job
from clickpipe.deploy import Tables
from clickpipe.engine import Engine
from clickpipe.ingest import Lines
from clickpipe.jobs import Population
from clickpipe.runtime import Instance, Workspace
from tests.deploy.projects import DOUBLED, FILES, KEYED, WIDER, send, sums

_CALLS = ("execute", "submit", "insert", "load", "stream")


class Statements:
    """What an engine is asked."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        for name in _CALLS:
            monkeypatch.setattr(engine, name, self._noting(getattr(engine, name)))

    def _noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(sql: str, *args: Any, **more: Any) -> Any:
            self.asked.append(sql)
            return call(sql, *args, **more)

        return noted

    def naming(self, names: set[str], first: int) -> list[str]:
        """Return what was asked, from a statement on, that names one of some tables."""
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
        return [sql for sql in self.asked[first:] if pattern.search(sql)]


def test_no_statement_names_what_a_deployment_removed(
    instance: Instance, deployed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, numbers = threading.Event(), count()
    statements = Statements(instance.engine, monkeypatch)
    tables = Tables(instance.engine, deployed.database)

    def go_on(call: Callable[[], object]) -> int:
        calls = 0
        while not stop.is_set():
            call()
            calls += 1
        return calls

    def done(job: Job) -> None:
        instance.jobs.wait(job.id)
        ended = instance.catalog.jobs.get(deployed.id, job.id)
        assert ended is not None
        assert (ended.status, ended.error) == ("done", "")

    calls: list[Callable[[], object]] = [
        lambda: send(deployed, f"e{next(numbers)}", 1),
        lambda: deployed.data.submit("events", Lines(b'{"id":"later","n":1}'), wait=False).result(),
        lambda: sums(deployed),
        lambda: done(deployed.copy("copy", mode="append")),
        lambda: done(deployed.jobs.populate(Population("sums_mv"))),
    ]
    late: list[str] = []
    with ThreadPoolExecutor(len(calls)) as pool:
        running = [pool.submit(go_on, call) for call in calls]
        try:
            for files in (WIDER, KEYED, DOUBLED, FILES):
                before = tables.existing()
                deployed.deploy(files, allow_destructive=True)
                ended, removed = len(statements.asked), before - tables.existing()
                assert statements.naming(removed, 0)  # they were in use before
                time.sleep(0.5)
                late += statements.naming(removed, ended)
        finally:
            stop.set()
    assert all(future.result() for future in running)
    assert not late
