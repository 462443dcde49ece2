"""A pytest plugin for applications that use a clickpipe project: the fixture `clickpipe` is a server with it.

The project is deployed into memory with its fixtures, once for all tests, and answers on a port of its own:

    def test_top_pages(clickpipe):
        clickpipe.ingest("events", [{"path": "/", "at": "2026-01-01 00:00:00"}])
        assert clickpipe.query("top_pages", limit=1) == [{"path": "/", "views": 1}]
        call_my_application(clickpipe.url, clickpipe.token)

`clickpipe_project = path` in pytest's settings says where it is, from the folder that pytest starts in; without, it is
that folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from clickpipe.runtime import Workspace


@dataclass(frozen=True)
class Served:
    """A project in memory: the URL where it answers, a token that may do all, and its workspace in this process."""

    url: str
    token: str = field(repr=False)
    workspace: Workspace = field(repr=False)

    def ingest(self, data_source: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Send rows to a data source and wait until they can be read. Fails the test for rows that do not fit."""
        result = self.workspace.ingest(data_source, rows)
        if result.quarantined_rows:
            reasons = {reason.reason for reason in self.workspace.data.quarantine_reasons(data_source)}
            pytest.fail(f"{result.quarantined_rows} rows do not fit {data_source}: {', '.join(sorted(reasons))}")

    def query(self, endpoint: str, **parameters: Any) -> list[dict[str, Any]]:
        """Call an endpoint and return its rows."""
        return self.workspace.query(endpoint, **parameters)

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run a SELECT over data sources and pipes and return its rows."""
        return self.workspace.sql(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting `clickpipe_project`."""
    parser.addini("clickpipe_project", "The folder of the clickpipe project that the fixture `clickpipe` serves.")


@pytest.fixture(scope="session")
def clickpipe(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Serve the project, its fixtures loaded."""
    from clickpipe.server import serve_in_thread
    from clickpipe.testing import project_in_memory

    root = request.config.rootpath / request.config.getini("clickpipe_project")
    with project_in_memory(root) as instance, serve_in_thread(instance) as url:
        yield Served(url, instance.admin_token().value, instance.default)
