"""Tokens that are to hold somebody to his rows: what they fix and filter by has to be there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.server.conftest import Client

EVENTS = """SCHEMA >
    `tenant` String `json:$.tenant`,
    `n` UInt64 `json:$.n`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "tenant"
"""
TOTALS = 'SCHEMA >\n    `tenant` String,\n    `n` UInt64\n\nENGINE "SummingMergeTree"\nENGINE_SORTING_KEY "tenant"\n'
PIPE = "NODE n\nSQL >\n    %\n    SELECT n FROM events WHERE tenant = {{{{String({parameter})}}}}\nTYPE endpoint\n"
OVER = "NODE n\nSQL >\n    SELECT sum(n) AS n FROM mine\nTYPE endpoint\n"
VIEW = "NODE n\nSQL >\n    SELECT tenant, n FROM events\nTYPE materialized\nDATASOURCE totals\n"


def files(parameter: str = "tenant", **more: str) -> dict[str, str]:
    return {
        "datasources/events.datasource": EVENTS,
        "datasources/totals.datasource": TOTALS,
        "pipes/mine.pipe": PIPE.format(parameter=parameter),
        "pipes/over.pipe": OVER,
        "pipes/view.pipe": VIEW,
        **more,
    }


@pytest.fixture
def held(empty: Client) -> Client:
    empty.workspace.deploy(files())
    rows = b'{"tenant": "acme", "n": 1}\n{"tenant": "globex", "n": 100}'
    empty("POST", "/v0/events?name=events&wait=true", content=rows)
    return empty


def _bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def _make(client: Client, scopes: list[dict[str, Any]], **query: str) -> Any:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return client("POST", f"/v0/tokens?name=t{len(str(scopes))}{more}", json={"scopes": scopes})


@pytest.mark.parametrize(
    ("pipe", "fixed", "said"),
    [
        ("mine", {"tennant": "acme"}, "did you mean 'tenant'"),
        ("mine", {"Tenant": "acme"}, "no parameter 'Tenant'"),
        ("mine", {"tenant": "acme", "n": "1"}, "no parameter 'n'"),
        ("over", {"other": "acme"}, "no parameter 'other'"),
        ("view", {"tenant": "acme"}, "it has none"),
        ("mime", {"tenant": "acme"}, "did you mean 'mine'"),
    ],
)
@pytest.mark.parametrize("kind", ["static", "jwt"])
def test_a_token_cannot_fix_what_there_is_not(
    held: Client, pipe: str, fixed: dict[str, str], said: str, kind: str
) -> None:
    life = {"expiration_time": "4000000000"} if kind == "jwt" else {}
    response = _make(held, [{"type": "PIPES:READ", "resource": pipe, "fixed_params": fixed}], **life)
    assert response.status_code == 400
    assert said in response.json()["error"]


@pytest.mark.parametrize("pipe", ["mine", "over"])
def test_a_fixed_parameter_holds_also_for_what_the_pipe_reads(held: Client, pipe: str) -> None:
    token = _make(held, [{"type": "PIPES:READ", "resource": pipe, "fixed_params": {"tenant": "acme"}}]).json()["token"]
    for query in ("", "?tenant=globex", "?tenant=globex&tenant=acme"):
        assert held("GET", f"/v0/pipes/{pipe}.json{query}", token=None, headers=_bearer(token)).json()["data"] == [
            {"n": 1}
        ]


@pytest.mark.parametrize(
    "path",
    [
        "/v0/pipes/mine.json?tenant=globex",
        "/v0/pipes/mine.json?customer=globex",
        "/v0/pipes/mine.json",
        "/v0/sql?q=SELECT+*+FROM+mine&customer=globex",
        "/v0/pipes/mine.json?customer=globex&q=SELECT+*+FROM+_",
        "/v0/pipes/mine/explain?customer=globex",
        "/v0/pipes/over.json?customer=globex",
        "/v0/sql?q=SELECT+*+FROM+_&pipeline=mine&customer=globex",
    ],
)
def test_a_parameter_that_was_renamed_lets_nobody_in(held: Client, path: str) -> None:
    scopes = [{"type": "PIPES:READ", "resource": p, "fixed_params": {"tenant": "acme"}} for p in ("mine", "over")]
    token = _make(held, scopes).json()["token"]
    prepared = held.workspace.deployments.prepare(files("customer"))
    told = [f.message for f in prepared.plan.feedback if f.resource == "tokens"]
    assert any("stops working on 'mine'" in message for message in told)
    held.workspace.deployments.apply(held.workspace.deployments.start(prepared), prepared)
    response = held("GET", path, token=None, headers=_bearer(token))
    assert response.status_code == 403
    assert "100" not in response.text


@pytest.mark.parametrize(
    "scope",
    ["PIPES:READ:mime", "DATASOURCES:READ:event", "DATASOURCES:APPEND:nope", "DATASOURCES:READ:evens:tenant = 'a'"],
)
def test_a_scope_on_what_there_is_not_is_refused(held: Client, scope: str) -> None:
    response = held("POST", "/v0/tokens", params={"name": "x", "scope": scope})
    assert response.status_code == 400
    assert "does not exist" in response.json()["error"]


def test_a_view_that_a_filter_does_not_hold_for_is_told(held: Client) -> None:
    filtered = {"type": "DATASOURCES:READ", "resource": "events", "filter": "tenant = 'acme'"}
    response = _make(held, [filtered, {"type": "DATASOURCES:READ", "resource": "totals"}])
    assert "does not hold for 'totals'" in response.json()["warnings"][0]
    assert "warnings" not in _make(held, [filtered]).json()


def test_a_deployment_tells_of_filters_that_it_breaks(held: Client) -> None:
    _make(held, [{"type": "DATASOURCES:READ", "resource": "events", "filter": "tenant = 'acme'"}])
    renamed = {name: text.replace("tenant", "customer") for name, text in files().items()}
    told = [f.message for f in held.workspace.deployments.prepare(renamed, allow_destructive=True).plan.feedback]
    assert any("its filter names 'tenant'" in message for message in told)


@pytest.fixture
def signed(held: Client) -> str:
    scope = {"type": "PIPES:READ", "resource": "mine", "fixed_params": {"tenant": "acme"}}
    made: str = _make(held, [scope], expiration_time="4000000000").json()["token"]
    return made


_FORMS: list[Callable[[str], str]] = [
    lambda value: value,
    lambda value: value + "=",
    lambda value: value + "==",
    lambda value: value + "\n",
    lambda value: value[:-5] + "\n" + value[-5:],
    lambda value: value[:-5] + " " + value[-5:],
    lambda value: value + "!",
    lambda value: value[:-1] + chr(ord(value[-1]) + 1),
]


@pytest.mark.parametrize("form", range(len(_FORMS)))
def test_a_revoked_jwt_is_refused_however_it_is_written(held: Client, signed: str, form: int) -> None:
    assert held("GET", "/v0/pipes/mine.json", token=None, headers=_bearer(signed)).status_code == 200
    assert held("DELETE", f"/v0/tokens/{signed}").status_code == 200
    response = held("GET", "/v0/pipes/mine.json", params={"token": _FORMS[form](signed)}, token=None)
    assert response.status_code == 403
