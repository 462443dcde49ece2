"""Conditions read what their token may read: deleting, replacing and populating by them tell of nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from clickpipe.runtime import Instance
from tests.server.conftest import EVENTS, Client, make
from tests.server.test_metadata import VIEW

SECRET = "what-nobody-may-read"
PIPE = "NODE n\nSQL >\n    SELECT id FROM {}\nTYPE endpoint\n"
FIXES = "NODE n\nSQL >\n    %\n    SELECT id FROM other WHERE id = {{String(x, '')}}\nTYPE endpoint\n"
FILES = {
    "datasources/events.datasource": EVENTS,
    "datasources/own.datasource": EVENTS.replace('TOKEN "writer" APPEND\n', ""),
    "datasources/other.datasource": EVENTS.replace('TOKEN "writer" APPEND\n', ""),
    "pipes/others.pipe": PIPE.format("other"),
    "pipes/fixes.pipe": FIXES,
    "pipes/endless.pipe": "NODE n\nSQL >\n    SELECT number AS n FROM numbers(100000000000000)\nTYPE endpoint\n",
    **VIEW,
}
CREATES = ("DATASOURCES:CREATE:own", "DATASOURCES:APPEND:own", "PIPES:CREATE:sums_mv")
READS_OTHER = [
    "(SELECT count() FROM other WHERE id LIKE 'what-%') > 0",
    "throwIf(1, (SELECT any(id) FROM other))",
    "id IN (SELECT id FROM other)",
    "id IN other",
    "id NOT IN (SELECT id FROM others)",
    "EXISTS (SELECT 1 FROM `other`)",
    'id = (SELECT max(id) FROM "other")',
    "id IN (SELECT id FROM (SELECT * FROM other AS own) AS own)",
    "id IN (WITH own AS (SELECT * FROM other) SELECT id FROM own)",
    "id IN (SELECT o.id FROM own AS a JOIN /* own */ other AS o ON 1 = 1)",
    "(SELECT count() FROM own, other) > 0",
    "id IN (SELECT id FROM view(SELECT id FROM other))",
    "toUInt8((SELECT any(id) FROM other))",
    "joinGet(other, 'amount', id) = 1",
    "joinGet('other', 'amount', id) = 1",
    "id IN (SELECT id FROM other_quarantine)",
    "id IN (SELECT pipe_name FROM tinybird.pipe_stats_rt)",
    "length((SELECT groupArray(id) FROM own UNION ALL SELECT groupArray(id) FROM other LIMIT 1)) > 0",
]
OWN = [
    "id = 'a'",
    "id IN (SELECT id FROM own)",
    "amount < (SELECT max(amount) FROM own) OR (id, amount, at) IN own",
    "1",
]


@pytest.fixture(scope="module")
def two(server_instance: Instance) -> Iterator[Client]:
    workspace = server_instance.workspaces.create("conditions")
    workspace.deploy(FILES)
    for name in ("own", "other"):
        row = {"id": SECRET if name == "other" else "a", "amount": 1, "at": "2026-01-01 00:00:00"}
        workspace.ingest(name, [row])
    yield Client(server_instance, workspace)
    server_instance.workspaces.delete(workspace)


def _asks(client: Client, value: str, condition: str) -> list[Any]:
    """Send a condition in each of the ways there are."""
    row = b'{"id": "a", "amount": 1, "at": "2026-01-01 00:00:00"}'
    delete, replace = {"delete_condition": condition}, {"replace_condition": condition, "format": "ndjson"}
    key: dict[str, Any] = {"token": None, "headers": {"Authorization": f"Bearer {value}"}}
    asked = [client("POST", "/v0/datasources/own/delete", params={**delete, "dry_run": "true"}, **key)]
    asked += [client("POST", "/v1/datasources/own/delete", data={**delete, "wait": "true"}, **key)]
    asked += [client("POST", "/v0/datasources/own/delete", data=delete, **key)]
    asked += [client("POST", "/v1/datasources/own/replace", params=replace, content=row, **key)]
    asked += [
        client("POST", "/v0/datasources", params={**replace, "name": "own", "mode": "replace"}, content=row, **key)
    ]
    path = "/v0/pipes/sums_mv/nodes/n/population"
    return [*asked, client("POST", path, params={"populate_condition": condition}, **key)]


@pytest.mark.parametrize("condition", READS_OTHER)
def test_a_condition_reads_nothing_that_its_token_may_not(two: Client, condition: str) -> None:
    value = make(two, *CREATES, name=f"creator_{abs(hash(condition))}")
    for answer in _asks(two, value, condition):
        assert answer.status_code in {400, 403}, answer.text
        assert SECRET not in answer.text
    assert two.workspace.sql("SELECT id FROM own") == [{"id": "a"}]


@pytest.mark.parametrize("condition", OWN)
def test_a_condition_reads_the_data_source_that_it_is_for(two: Client, condition: str) -> None:
    value = make(two, *CREATES, name=f"creator_{abs(hash(condition))}")
    params = {"delete_condition": condition, "dry_run": "true"}
    headers = {"Authorization": f"Bearer {value}"}
    answer = two("POST", "/v0/datasources/own/delete", token=None, params=params, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("scope", "condition"),
    [
        ("DATASOURCES:READ:other", "id IN (SELECT id FROM other)"),
        ("DATASOURCES:CREATE:other", "id IN (SELECT id FROM other)"),  # it may delete by any condition on it
        ("DATASOURCES:READ", "id IN (SELECT id FROM other)"),
        ("PIPES:READ:others", "id IN (SELECT id FROM others)"),
        ("WORKSPACE:READ_ALL", "id IN (SELECT id FROM others JOIN other USING id)"),
        ("ADMIN", "id IN (SELECT id FROM others) OR id IN (SELECT id FROM other_quarantine)"),
    ],
)
def test_a_condition_reads_what_its_token_may(two: Client, scope: str, condition: str) -> None:
    value = make(two, *CREATES, scope, name=f"reader_{abs(hash(scope + condition))}")
    params = {"delete_condition": condition, "dry_run": "true"}
    headers = {"Authorization": f"Bearer {value}"}
    answer = two("POST", "/v0/datasources/own/delete", token=None, params=params, headers=headers)
    assert answer.json() == {"rows_to_be_deleted": 0}, answer.text


def test_filters_and_fixed_parameters_are_not_left_out(two: Client) -> None:
    """Nothing holds them in a condition: such a token's conditions read what it writes to alone."""
    creates = {"type": "DATASOURCES:CREATE", "resource": "own"}
    filtered = {"type": "DATASOURCES:READ", "resource": "other", "filter": "id = 'x'"}
    fixed = {"type": "PIPES:READ", "resource": "fixes", "fixed_params": {"x": SECRET}}
    for number, (scopes, condition) in enumerate(
        (
            ([creates, filtered], "throwIf(1, (SELECT any(id) FROM other))"),
            ([creates, fixed], "throwIf(1, (SELECT any(id) FROM fixes))"),
            ([creates, filtered, {"type": "PIPES:READ", "resource": "others"}], "id IN (SELECT id FROM others)"),
        )
    ):
        made = two("POST", "/v0/tokens", json={"name": f"limited_{number}", "scopes": scopes})
        assert made.status_code == 200, made.text
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        params = {"delete_condition": condition, "dry_run": "true"}
        answer = two("POST", "/v0/datasources/own/delete", token=None, params=params, headers=headers)
        assert answer.status_code == 403, answer.text
        assert SECRET not in answer.text


def test_counting_ends_in_time_and_holds_no_events(two: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(two.instance.settings, query_max_seconds=3)
    monkeypatch.setattr(two.workspace._services, "settings", settings)
    params = {"delete_condition": "(SELECT count() FROM endless) > 1 + rand()", "dry_run": "true"}
    with ThreadPoolExecutor(1) as pool:
        counting = pool.submit(two, "POST", "/v0/datasources/own/delete", params=params)
        time.sleep(0.5)
        two.workspace.ingest("other", [{"id": "b", "amount": 1, "at": "2026-01-01 00:00:00"}])
        assert not counting.done()
        assert (counting.result().status_code, "TIMEOUT_EXCEEDED" in counting.result().text) == (408, True)


def test_a_job_that_fails_shows_no_name_of_the_engine(two: Client) -> None:
    row = b'{"id": "a", "amount": 1, "at": "2026-01-01 00:00:00"}'
    params = {"replace_condition": "not id", "format": "ndjson"}
    job = two("POST", "/v1/datasources/own/replace", params=params, content=row).json()["id"]
    two.instance.jobs.wait(job)
    told = two("GET", f"/v0/jobs/{job}").json()
    assert (told["status"], "Illegal type" in told["error"]) == ("error", True)
    log = two.workspace.sql("SELECT error FROM tinybird.datasources_ops_log WHERE error != ''")
    for text in (told["error"], str(log)):
        assert "ws_" not in text
        assert "_import_" not in text
        assert "countIf" not in text


@pytest.mark.parametrize("path", ["/v0/datasources?mode=replace&name=own", "/v1/datasources/own/replace?mode=replace"])
@pytest.mark.parametrize("condition", ["", " "])
def test_an_empty_condition_replaces_nothing(two: Client, path: str, condition: str) -> None:
    before = two.workspace.sql("SELECT * FROM own")
    reply = two("POST", f"{path}&format=ndjson&replace_condition={condition}", content=b'{"id": "new", "amount": 1}')
    assert (reply.status_code, "condition is empty" in reply.text) == (400, True)
    assert two.workspace.sql("SELECT * FROM own") == before
