"""Conditions of callers (delete, replace, populate) read what their token may read: how many rows meet one is told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.conftest import EVENTS, FILES, Client, make

COPY = EVENTS.replace('TOKEN "writer" APPEND\n', "")
MORE = {
    **FILES,
    "datasources/other.datasource": COPY,
    "datasources/viewed.datasource": COPY,
    "pipes/view.pipe": "NODE n\nSQL >\n    SELECT id, amount, at FROM events\nTYPE materialized\nDATASOURCE viewed\n",
}
# What is asked of `other`, which the token may not read.
ORACLES = [
    "id IN (SELECT id FROM other)",
    "id IN other",
    "(SELECT count() FROM other) > 0",
    "EXISTS (SELECT 1 FROM other WHERE id = 'x')",
    "amount < (SELECT max(amount) FROM other)",
    "id IN (SELECT o.id FROM events AS e JOIN other AS o ON e.id = o.id)",
    "id IN (SELECT id FROM events UNION ALL SELECT id FROM other)",
    "id IN (SELECT id FROM (SELECT id FROM other_quarantine))",
    "id IN (WITH o AS (SELECT * FROM other) SELECT id FROM o)",
    "arrayExists(x -> x IN (SELECT id FROM other), [id])",
    "throwIf((SELECT count() FROM other) > 0) = 0",
    "id IN (SELECT id FROM totals)",
    "id IN totals",
    "id IN (SELECT id FROM view(SELECT * FROM other))",
    "id IN (SELECT id FROM `other`)",
    'id IN (SELECT id FROM "other" # FROM events\n)',
]


@pytest.fixture
def more(client: Client) -> Client:
    client.workspace.deploy(MORE)
    return client


def ask(client: Client, token: str, condition: str) -> list[Any]:
    """Return what is answered to a condition at each door."""
    headers = {"Authorization": f"Bearer {token}"}
    row = b'{"id":"x","amount":1,"at":"2026-01-01 00:00:00"}'
    named = {"name": "events", "format": "ndjson"}
    doors: tuple[tuple[str, dict[str, str], bytes], ...] = (
        ("/v0/datasources/events/delete", {"delete_condition": condition, "dry_run": "true"}, b""),
        ("/v0/datasources/events/delete", {"delete_condition": condition}, b""),
        ("/v1/datasources/events/delete", {"delete_condition": condition, "wait": "true"}, b""),
        ("/v1/datasources/events/replace", {"replace_condition": condition}, row),
        ("/v0/datasources", {"mode": "replace", **named, "replace_condition": condition}, row),
        ("/v0/pipes/view/nodes/n/population", {"populate_condition": condition}, b""),
    )  # fmt: skip
    return [client("POST", path, None, headers=headers, params=params, content=body) for path, params, body in doors]


@pytest.mark.parametrize("condition", ORACLES)
def test_no_condition_reads_what_the_token_may_not(more: Client, condition: str) -> None:
    before = more.workspace.sql("SELECT * FROM events ORDER BY ALL")
    token = make(more, "DATASOURCES:CREATE:events", "DATASOURCES:READ:events", "PIPES:CREATE:view", name="writer2")
    for reply in ask(more, token, condition):
        assert reply.status_code in {400, 403}, reply.text
        assert reply.status_code == 403 or "view" in condition, reply.text
    assert more.workspace.sql("SELECT * FROM events ORDER BY ALL") == before


@pytest.mark.parametrize("condition", ["id IN (SELECT id FROM other)", "id IN (SELECT id FROM totals)"])
def test_one_who_may_read_some_rows_of_it_reads_none_there(more: Client, condition: str) -> None:
    """A filter, or a fixed parameter, would not hold in a condition."""
    for scopes in (
        ["DATASOURCES:READ:other:id = 'x'", "PIPES:READ:totals", "DATASOURCES:CREATE:events", "PIPES:CREATE:view"],
        [],
    ):
        params = {"name": f"some{len(scopes)}", "scope": scopes}
        if not scopes:
            fixed = {"type": "PIPES:READ", "resource": "totals", "fixed_params": {"limit": 1}}
            others = [
                {"type": type_, "resource": of}
                for type_, of in zip(
                    ("DATASOURCES:CREATE", "PIPES:CREATE", "DATASOURCES:READ"), ("events", "view", "other"), strict=True
                )
            ]  # fmt: skip
            reply = more("POST", "/v0/tokens?name=fixed", json={"scopes": [fixed, *others]})
        else:
            reply = more("POST", "/v0/tokens", params=params)
        assert reply.status_code == 200, reply.text
        for answer in ask(more, reply.json()["token"], condition):
            assert answer.status_code == 403, answer.text


@pytest.mark.parametrize(
    "condition", ["id = 'zz'", "id IN (SELECT id FROM other)", "id IN (SELECT id FROM events WHERE amount > 100)"]
)
def test_what_the_token_may_read_may_stand_there(more: Client, condition: str) -> None:
    scopes = ("DATASOURCES:CREATE:events", "DATASOURCES:READ:other", "PIPES:CREATE:view")
    for reply in ask(more, make(more, *scopes, name="both"), condition):
        met = reply.status_code < 300 or "do not meet the replace_condition" in reply.text
        assert met, reply.text
    for job in more.instance.catalog.jobs.newest(more.workspace.id):
        more.instance.jobs.wait(job.id, 20)
