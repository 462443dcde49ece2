"""Names, secrets and settings of templates, against data."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.query import FORMATS, QueryOptions
from clickpipe.runtime import Workspace
from tests.conftest import RunPython

FILES = {
    "events.datasource": "SCHEMA >\n    id String,\n    day Date\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n",
    "hidden.datasource": "SCHEMA >\n    id String\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n",
    "by.pipe": (
        "NODE n\nSQL >\n    %\n    SELECT {{column(by, 'id')}} AS key, count() AS hits\n"
        "    FROM {{table(from_table, 'events')}} GROUP BY key ORDER BY {{column(order, 'hits')}} DESC, key LIMIT 5\n\n"
        "TYPE endpoint\n"
    ),
    "like.pipe": (
        "NODE n\nSQL >\n    %\n"
        "    SELECT id FROM events WHERE id LIKE '%{{String(part)}}%' ORDER BY id\n\nTYPE endpoint\n"
    ),
    "secret.pipe": "NODE n\nSQL >\n    %\n    SELECT {{tb_secret('KEY')}} AS key\n\nTYPE endpoint\n",
    "plan.pipe": "NODE n\nSQL >\n    %\n    SELECT id FROM events WHERE id = {{tb_secret('KEY')}}\n\nTYPE endpoint\n",
    "leak.pipe": "NODE n\nSQL >\n    %\n    SELECT toUInt8({{tb_secret('KEY')}}) AS n FROM events\n\nTYPE endpoint\n",
    "cached.pipe": (
        "NODE n\nSQL >\n    %\n    {{cache_ttl('1h')}}{{max_threads(2)}}SELECT rand() AS r FROM events\n\n"
        "TYPE endpoint\n"
    ),
}


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    rows = [{"id": "it's", "day": "2024-01-01"}, {"id": "a", "day": "2024-01-01"}, {"id": "a", "day": "2024-01-02"}]
    workspace.ingest("events", rows)
    return workspace


def rows(workspace: Workspace, name: str, **values: Any) -> list[dict[str, Any]]:
    body = workspace.endpoint(name, values, FORMATS["json"]).body
    found: list[dict[str, Any]] = json.loads(body)["data"]
    return found


def test_a_column_is_chosen_by_the_caller(deployed: Workspace) -> None:
    assert rows(deployed, "by") == [{"key": "a", "hits": 2}, {"key": "it's", "hits": 1}]
    assert rows(deployed, "by", by="day", order="key") == [
        {"key": "2024-01-02", "hits": 1},
        {"key": "2024-01-01", "hits": 2},
    ]
    for names in ({"by": "id` FROM hidden --"}, {"from_table": "system.users"}, {"order": "sleep(3)"}):
        with pytest.raises(ClickpipeError) as caught:
            rows(deployed, "by", **names)
        assert "does not exist" in caught.value.message


def test_a_part_of_a_quoted_text_is_found(deployed: Workspace) -> None:
    assert rows(deployed, "like", part="t's") == [{"id": "it's"}]
    assert rows(deployed, "like", part="' OR 1=1 --") == []


def test_a_secret_comes_from_the_servers_environment(deployed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClickpipeError, match="the secret 'KEY' is not set"):
        rows(deployed, "secret")
    monkeypatch.setenv("CLICKPIPE_SECRET_KEY", "s'3")
    assert rows(deployed, "secret") == [{"key": "s'3"}]
    with pytest.raises(ClickpipeError, match="the secret 'KEY' is not set"):  # not for a caller's own SQL
        asyncio.run(deployed.queries.sql("% SELECT {{tb_secret('KEY')}}", QueryOptions(), lambda *_: None))


def test_an_error_does_not_show_a_secret(deployed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_KEY", "hunter2")
    with pytest.raises(ClickpipeError) as caught:
        rows(deployed, "leak")
    assert "hunter2" not in caught.value.message
    assert "'***'" in caught.value.message
    with pytest.raises(ClickpipeError) as told:
        asyncio.run(deployed.queries.explain("leak", QueryOptions()))
    assert "hunter2" not in told.value.message


def test_a_plan_does_not_show_a_secret(deployed: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_KEY", "hunter2")
    plan = "\n".join(asyncio.run(deployed.queries.explain("plan", QueryOptions())))
    assert "hunter2" not in plan
    assert "***" in plan


def test_settings_of_a_template_reach_the_query(deployed: Workspace) -> None:
    assert len(rows(deployed, "cached")) == 3


def test_a_server_may_take_values_that_enum_does_not_list(run_python: RunPython) -> None:
    code = """
        import asyncio
        import tempfile
        from pathlib import Path
        from clickpipe.config import Settings
        from clickpipe.query import FORMATS, QueryOptions
        from clickpipe.runtime import Instance

        pipe = "NODE n\\nSQL >\\n    %\\n    SELECT {{String(way, 'asc', enum=['asc'])}} AS way\\nTYPE endpoint\\n"
        folder = Path(tempfile.mkdtemp())
        for start in range(2):  # what was live is brought back by the same rules
            with Instance(folder, Settings(enum_values="ignore")) as instance:
                if start == 0:
                    instance.default.deploy({"p.pipe": pipe})
                found = instance.default.queries.endpoint("p", QueryOptions(FORMATS["csv"], {"way": "sideways"}))
                print(asyncio.run(found).result.body.decode().strip())
    """
    assert run_python(code).stdout.splitlines() == ['"way"', '"sideways"'] * 2
