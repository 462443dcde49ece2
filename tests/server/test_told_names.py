"""Names that errors tell: of near resources those alone that the token may know, and never physical tables."""

# ruff: noqa: E501 - a table of requests
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from clickpipe.catalog import resource_id
from tests.server.conftest import EVENTS, FILES, TOTALS, Client, make, sign

HIDDEN = {"datasources/secret_deals.datasource", "pipes/secret_totals.pipe"}
MORE = {
    **FILES,
    "datasources/secret_deals.datasource": EVENTS.replace('TOKEN "writer" APPEND\n', ""),
    "pipes/secret_totals.pipe": TOTALS.replace('TOKEN "reader" READ\n', ""),
}
Ask = Callable[[Client, str], Any]


def asks(method: str, path: str, **more: Any) -> Ask:
    return lambda client, token: client(method, path, None, headers={"Authorization": f"Bearer {token}"}, **more)


# Questions with a name that is near to one that the token does not know; of most, a scope on just that name lets in.
NEAR: dict[str, tuple[str, Ask]] = {
    "sql": ("DATASOURCES:READ:events", asks("GET", "/v0/sql?q=SELECT 1 FROM secret_deal")),
    "sql, a pipe": ("DATASOURCES:READ:events", asks("GET", "/v0/sql?q=SELECT 1 FROM secret_total")),
    "sql, behind IN": ("DATASOURCES:READ:events", asks("GET", "/v0/sql?q=SELECT 1 WHERE 1 IN (SELECT 1 FROM secret_deal)")),
    "sql, joined": ("DATASOURCES:READ:events", asks("GET", "/v0/sql?q=SELECT 1 FROM events JOIN secret_deal USING id")),
    "sql, posted": ("DATASOURCES:READ:events", asks("POST", "/v0/sql", content=b"SELECT 1 FROM secret_deal")),
    "a template": ("DATASOURCES:READ:events", asks("POST", "/v0/sql", content=b"%\nSELECT 1 FROM {{table('secret_deal')}}")),
    "a condition": ("DATASOURCES:CREATE:events", asks("POST", "/v0/datasources/events/delete", params={"delete_condition": "id IN (SELECT id FROM secret_deal)", "dry_run": "true"})),
    "pipeline": ("DATASOURCES:READ:events", asks("GET", "/v0/sql?q=SELECT 1&pipeline=secret_total")),
    "an endpoint": ("PIPES:READ:secret_total", asks("GET", "/v0/pipes/secret_total.json")),
    "over an endpoint": ("PIPES:READ:secret_total", asks("GET", "/v0/pipes/secret_total.json?q=SELECT 1 FROM _")),
    "a plan": ("PIPES:READ:secret_total", asks("GET", "/v0/pipes/secret_total/explain")),
    "a pipe": ("PIPES:READ:secret_total", asks("GET", "/v0/pipes/secret_total")),
    "a copy": ("PIPES:CREATE:secret_total", asks("POST", "/v0/pipes/secret_total/copy")),
    "a population": ("PIPES:CREATE:secret_total", asks("POST", "/v0/pipes/secret_total/nodes/n/population")),
    "a view": ("PIPES:CREATE:secret_total", asks("POST", "/v1/materializations/secret_total/populate")),
    "a data source": ("DATASOURCES:READ:secret_deal", asks("GET", "/v0/datasources/secret_deal")),
    "events": ("DATASOURCES:APPEND:secret_deal", asks("POST", "/v0/events?name=secret_deal", content=b"{}")),
    "a file": ("DATASOURCES:APPEND:secret_deal", asks("POST", "/v0/datasources?mode=append&name=secret_deal", content=b"a")),
    "rows": ("DATASOURCES:APPEND:secret_deal", asks("POST", "/v1/datasources/secret_deal/append", content=b"{}")),
    "replaced": ("DATASOURCES:CREATE:secret_deal", asks("POST", "/v1/datasources/secret_deal/replace", content=b"{}")),
    "deleted": ("DATASOURCES:CREATE:secret_deal", asks("POST", "/v0/datasources/secret_deal/delete?delete_condition=1")),
    "truncated": ("DATASOURCES:CREATE:secret_deal", asks("POST", "/v1/datasources/secret_deal/truncate")),
    "quarantine": ("DATASOURCES:READ:secret_deal", asks("GET", "/v1/datasources/secret_deal/quarantine")),
    "replayed": ("DATASOURCES:CREATE:secret_deal", asks("POST", "/v1/datasources/secret_deal/quarantine/replay")),
    "as ClickHouse's clients": ("DATASOURCES:READ:events", asks("POST", "/", content=b"SELECT 1 FROM secret_deal")),
    "SHOW CREATE": ("DATASOURCES:READ:events", asks("POST", "/", content=b"SHOW CREATE TABLE secret_deal")),
    "DESCRIBE": ("DATASOURCES:READ:events", asks("POST", "/", content=b"DESCRIBE secret_deal")),
    "EXPLAIN": ("DATASOURCES:READ:events", asks("POST", "/", content=b"EXPLAIN SELECT 1 FROM secret_deal")),
}  # fmt: skip


@pytest.fixture
def more(client: Client) -> Client:
    client.workspace.deploy(MORE)
    return client


def _token(client: Client, scope: str) -> str:
    """Return a token with a scope on what may not be there (any more)."""
    catalog = client.instance.catalog
    value = catalog.tokens.put(client.workspace.id, f"t {scope}", [scope], origin="api").value
    client.instance.tokens.refresh()
    return value


@pytest.mark.parametrize("what", NEAR)
def test_who_may_not_know_a_name_is_not_told_it(more: Client, what: str) -> None:
    scope, ask = NEAR[what]
    reply = ask(more, _token(more, scope))
    assert 400 <= reply.status_code < 500, reply.text
    assert not re.search(r"secret_(?:deals|totals)\b", reply.text), reply.text
    assert "did you mean" not in reply.text


@pytest.mark.parametrize(
    "what", ["sql", "sql, a pipe", "pipeline", "an endpoint", "a pipe", "a view", "events", "rows", "deleted"]
)
def test_who_may_is(more: Client, what: str) -> None:
    reply = NEAR[what][1](more, more.token("workspace admin token").value)
    view = what == "a view"
    assert ("did you mean 'secret_" in reply.text) != view, reply.text


def test_the_nearest_that_the_token_may_know_is_told(more: Client) -> None:
    value = make(more, "DATASOURCES:READ:events", "PIPES:READ:totals", name="two")
    reply = NEAR["sql"][1](more, value)
    assert "did you mean" not in reply.text
    assert "did you mean 'events'?" in asks("GET", "/v0/sql?q=SELECT 1 FROM event")(more, value).text
    signed = sign(more, {"type": "PIPES:READ", "resource": "totals"})
    assert "did you mean 'totals'?" in asks("GET", "/v0/sql?q=SELECT 1 FROM totalz")(more, signed).text
    deployer = make(more, "WORKSPACE:DEPLOY", "PIPES:READ:totals", name="deployer")
    assert "did you mean 'secret_deals'?" in NEAR["sql"][1](more, deployer).text


def _told(client: Client) -> str:
    """Return what jobs, deployments and service data sources say."""
    client.instance.service_log.flush()
    texts = [client("GET", path).text for path in ("/v0/jobs", "/v1/deployments", "/v0/ready", "/metrics")]
    names = ("jobs_log", "datasources_ops_log", "endpoint_errors", "pipe_stats_rt")
    texts += [client("GET", "/v0/sql", params={"q": f"SELECT * FROM tinybird.{name}"}).text for name in names]
    return "\n".join(texts)


def test_no_physical_name_is_told_of_what_fails(more: Client) -> None:
    """A table that is gone beneath a workspace: whatever then fails is told by the names of resources."""
    engine, workspace = more.instance.engine, more.workspace
    live = workspace.live
    assert live is not None
    more.workspace.ingest("events", [{"id": "x", "amount": "no number", "at": 0}])
    engine.execute(f"DROP TABLE {live.physical.tables['events']} SYNC")
    told = []
    for method, path, body in (
        ("POST", "/v0/pipes/snapshot/copy", b""),
        ("GET", "/v0/pipes/totals.json", b""),
        ("GET", "/v0/pipes/totals/explain", b""),
        ("POST", "/v0/sql", b"SELECT * FROM events"),
        ("POST", "/", b"SELECT * FROM events"),
        ("POST", "/", b"EXPLAIN SELECT * FROM events"),
        ("POST", "/v0/datasources/events/delete?delete_condition=1", b""),
        ("POST", "/v0/datasources?mode=append&name=events", b"a,1,2026-01-01 00:00:00"),
        ("POST", "/v0/datasources?mode=replace&name=events", b"a,1,2026-01-01 00:00:00"),
        ("POST", "/v1/datasources/events/quarantine/replay", b""),
        ("POST", "/v0/events?name=events", b'{"id":"a","amount":1,"at":"2026-01-01 00:00:00"}'),
        ("GET", "/v0/datasources/events", b""),
    ):
        reply = more(method, path, content=body)
        told.append(reply.text)
    for job in more.instance.catalog.jobs.newest(workspace.id):
        more.instance.jobs.wait(job.id, 20)
        told.append(more("GET", f"/v0/jobs/{job.id}").text)
    text = "\n".join([*told, _told(more)])
    failed = [job for job in more.instance.catalog.jobs.newest(workspace.id) if job.status == "error"]
    assert len(failed) >= 3
    assert any("'events'" in job.error for job in failed), failed
    assert workspace.database not in text, text[max(0, text.index(workspace.database) - 200) :][:400]
    assert not re.search(r"events_[0-9a-f]{12}", text)
    assert str(more.instance.data_dir) not in text


def test_a_copy_s_own_notes_are_not_told(more: Client) -> None:
    job = more("POST", "/v0/pipes/snapshot/copy", params={"_mode": "append"}).json()["job"]
    more.instance.jobs.wait(job["id"])
    kept = more.instance.catalog.jobs.get(more.workspace.id, job["id"])
    assert kept is not None
    assert kept.status == "done"
    assert more.workspace.database not in more("GET", f"/v0/jobs/{job['id']}").text
    assert more.workspace.database not in _told(more)


def test_a_column_s_name_is_no_question(more: Client) -> None:
    """A template of a caller's own tells of no name whether the project has it."""
    value = make(more, "DATASOURCES:READ:totals_copy", name="one")
    told = []
    for name in ("amount", "nothing", "secret_deals", "deals_of_nobody"):
        for call in ("column(x)", "symbol(x)", "table(x)"):
            sql = f"%\nSELECT {{{{{call}}}}} FROM (SELECT 1 AS one)".encode()
            reply = asks("POST", f"/v0/sql?x={name}", content=sql)(more, value)
            assert reply.status_code == 400
            told.append((call, reply.text.replace(name, "x")))
    assert len(set(told)) == 3, told


@pytest.mark.parametrize(("kind", "name"), [("datasource", "secret_deals"), ("pipe", "secret_totals")])
def test_an_id_is_no_question(more: Client, kind: str, name: str) -> None:
    """Who reckons the id of a name that he guesses is not told whether there is one."""
    value = make(more, "DATASOURCES:READ:totals_copy", name="one")
    told = []
    for guessed in (name, "deals_of_nobody"):
        id_ = resource_id(more.workspace.id, kind, guessed)
        reply = asks("GET", f"/v0/{kind}s/{id_}")(more, value)
        assert reply.status_code == 403
        told.append(reply.text.replace(id_, "x"))
    assert told[0] == told[1]
