"""The tokens API, and what tokens with filters, fixed parameters, limits and ends may do."""

from __future__ import annotations

from functools import partial
from typing import Any

import jwt
import pytest

from clickpipe.auth import ADMIN_TOKEN
from tests.server.conftest import EVENTS, FILES, SOON, Client, get, make, sign

MINE = {"type": "DATASOURCES:READ", "resource": "events", "filter": "id = 'a'"}


def strict(client: Client, value: str) -> Any:
    return get(client, "/v0/pipes/strict.json", value, a="1", b="2")


def sql(client: Client, value: str, q: str) -> Any:
    response = get(client, "/v0/sql", value, q=q)
    return response.json()["data"] if response.status_code == 200 else response.status_code


def test_a_token_is_made_shown_changed_refreshed_and_removed(client: Client) -> None:
    value = make(client, "PIPES:READ:totals", "DATASOURCES:APPEND:events")
    shown = client("GET", "/v0/tokens/made").json()
    assert (shown["token"], shown["origin"]) == (value, "api")
    assert shown["scopes"] == [
        {"type": "PIPES:READ", "resource": "totals"},
        {"type": "DATASOURCES:APPEND", "resource": "events"},
    ]
    assert get(client, "/v0/pipes/totals.json", value).status_code == 200
    assert client("POST", "/v0/tokens", params={"name": "made", "scope": "TOKENS"}).status_code == 409
    changed = client("PUT", "/v0/tokens/made", params={"scope": "PIPES:READ:strict"}).json()
    assert (changed["id"], changed["token"]) == (shown["id"], value)
    assert get(client, "/v0/pipes/totals.json", value).status_code == 403
    other = client("POST", f"/v0/tokens/{shown['id']}/refresh").json()["token"]
    assert other != value
    assert strict(client, value).status_code == 403
    assert strict(client, other).status_code == 200
    assert client("DELETE", "/v0/tokens/made").json() == {"ok": True}
    assert strict(client, other).status_code == 403
    assert client("DELETE", "/v0/tokens/made").status_code == 404


@pytest.mark.parametrize(
    ("params", "body", "status", "error"),
    [
        ({}, None, 400, "'name' is missing"),
        ({"name": "x"}, None, 400, "'scope' is missing"),
        ({"name": "x", "scope": "PIPES:WRITE"}, None, 400, "'PIPES:WRITE' is not a scope"),
        ({"name": "x", "scope": "PIPES:READ:totals:id = 1"}, None, 400, "goes with DATASOURCES:READ"),
        ({"name": "x", "scope": "DATASOURCES:READ:events:nope = 1"}, None, 400, "nope"),
        ({"name": "x", "scope": "DATASOURCES:READ:events:1) OR (1"}, None, 400, "Syntax error"),
        ({"name": "x", "scope": "DATASOURCES:READ:events:id IN (SELECT 1 FROM file('x'))"}, None, 400, "'file'"),
        ({"name": "x", "scope": "TOKENS", "expires_at": "tomorrow"}, None, 400, "is not a time"),
        ({"name": "x", "scope": "TOKENS", "expires_at": "1600000000"}, None, 400, "in the past"),
        ({"name": "x"}, {"scopes": "TOKENS"}, 400, "'scopes' must be a list"),
        ({"name": "x"}, {"scopes": ["TOKENS"]}, 400, "A scope is an object"),
        ({"name": "x"}, {"scopes": [{"type": "TOKENS", "fixed_params": {"a": 1}}]}, 400, "goes with PIPES:READ"),
        ({"name": "x", "expiration_time": SOON}, None, 400, "A JWT needs a body"),
        ({"name": "x", "expiration_time": 1600000000}, {"scopes": [MINE]}, 400, "in the past"),
        ({"name": "x", "expiration_time": SOON}, {"scopes": [{"type": "ADMIN"}]}, 400, "A JWT has scopes"),
        ({"name": "x", "expiration_time": SOON}, {"scopes": [{"type": "PIPES:READ"}]}, 400, "each for one resource"),
        ({"name": "x", "expiration_time": SOON}, {"scopes": [MINE], "limits": {"rps": "many"}}, 400, "'limits'"),
    ],
)
def test_what_is_refused(client: Client, params: dict[str, Any], body: Any, status: int, error: str) -> None:
    response = client("POST", "/v0/tokens", params=params, **({"json": body} if body is not None else {}))
    assert (response.status_code, error in response.json()["error"]) == (status, True), response.text
    assert "x" not in {t["name"] for t in client("GET", "/v0/tokens").json()["tokens"]}


def test_who_may_manage_tokens_gains_no_admin_by_it(client: Client) -> None:
    value = make(client, "TOKENS", name="manager")
    listed = get(client, "/v0/tokens", value).json()["tokens"]
    assert {"manager", "reader"} <= {t["name"] for t in listed}
    assert ADMIN_TOKEN not in {t["name"] for t in listed}
    admin = client.token(ADMIN_TOKEN)
    bearer = {"Authorization": f"Bearer {value}"}
    for method, path, params in (
        ("GET", f"/v0/tokens/{admin.id}", {}),
        ("POST", f"/v0/tokens/{admin.id}/refresh", {}),
        ("DELETE", f"/v0/tokens/{admin.id}", {}),
        ("POST", "/v0/tokens", {"name": "mine", "scope": "ADMIN"}),
        ("PUT", "/v0/tokens/manager", {"scope": "ADMIN"}),
    ):
        response = client(method, path, token=None, params=params, headers=bearer)
        assert (response.status_code, admin.value in response.text) == (403, False)
    assert client("GET", "/v0/tokens", token="reader").status_code == 403
    itself = get(client, "/v0/tokens/reader", client.token("reader").value)
    assert itself.json()["name"] == "reader"
    assert get(client, "/v0/tokens/writer", client.token("reader").value).status_code == 403


def test_a_refreshed_admin_token_ends_what_it_signed(client: Client) -> None:
    signed = sign(client, {"type": "PIPES:READ", "resource": "totals"})
    assert get(client, "/v0/pipes/totals.json", signed).status_code == 200
    refreshed = client("POST", f"/v0/tokens/{client.token(ADMIN_TOKEN).id}/refresh")
    assert refreshed.json()["token"] == client.token(ADMIN_TOKEN).value
    assert get(client, "/v0/pipes/totals.json", signed).status_code == 403
    assert client("DELETE", f"/v0/tokens/{client.token(ADMIN_TOKEN).id}").status_code == 409


def test_a_token_that_has_expired(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    value = make(client, "PIPES:READ:totals", expires_at=SOON)
    assert client("GET", "/v0/tokens/made").json()["expires_at"] == SOON
    assert get(client, "/v0/pipes/totals.json", value).status_code == 200
    monkeypatch.setattr("clickpipe.auth.tokens.time.time", lambda: SOON + 1.0)
    response = get(client, "/v0/pipes/totals.json", value)
    assert (response.status_code, response.json()["error"]) == (403, "The token is not valid: it has expired.")


def test_a_signed_token_reads_what_it_says_until_it_is_revoked(client: Client) -> None:
    signed = sign(client, {"type": "PIPES:READ", "resource": "totals"})
    assert jwt.get_unverified_header(signed) == {"alg": "HS256", "typ": "JWT"}
    assert get(client, "/v0/pipes/totals.json", signed).status_code == 200
    assert client("GET", f"/v0/pipes/totals.json?token={signed}", token=None).status_code == 200
    assert strict(client, signed).status_code == 403
    assert get(client, "/v0/tokens", signed).status_code == 403
    assert [p["name"] for p in get(client, "/v0/pipes", signed).json()["pipes"]] == ["totals"]
    assert client("DELETE", f"/v0/tokens/{signed}").json() == {"ok": True}
    response = get(client, "/v0/pipes/totals.json", signed)
    assert (response.status_code, response.json()["error"]) == (403, "The token is not valid: it was revoked.")


def test_a_clients_own_signature_by_the_admin_token_is_good(client: Client) -> None:
    claims = {
        "workspace_id": client.workspace.id,
        "name": "mine",
        "exp": SOON,
        "scopes": [{"type": "PIPES:READ", "resource": "totals", "fixed_params": {"ids": ["a"], "least": 0}}],
    }
    admin = client.token(ADMIN_TOKEN).value
    good = jwt.encode(claims, admin, algorithm="HS256")
    data = get(client, "/v0/pipes/totals.json", good, ids="b").json()["data"]
    assert [row["id"] for row in data] == ["a"]
    other = "x" * 64
    bad = [
        (jwt.encode(claims, other, algorithm="HS256"), "its signature is wrong"),
        (jwt.encode(claims, admin, algorithm="HS512"), "alg"),
        (jwt.encode(claims, "", algorithm="none"), "alg"),
        (jwt.encode({**claims, "exp": 1}, admin, algorithm="HS256"), "it has expired"),
        (
            jwt.encode({**claims, "workspace_id": "other"}, admin, algorithm="HS256"),
            "this server has no workspace with the id 'other'",
        ),
        (jwt.encode({**claims, "workspace_id": 7}, admin, algorithm="HS256"), "'workspace_id' is missing"),
        (jwt.encode({**claims, "scopes": []}, admin, algorithm="HS256"), "'scopes' is a list"),
        (jwt.encode({**claims, "scopes": [{"type": "ADMIN"}]}, admin, algorithm="HS256"), "A JWT has scopes"),
        (jwt.encode({k: v for k, v in claims.items() if k != "exp"}, admin, algorithm="HS256"), "'exp' is missing"),
        (jwt.encode({k: v for k, v in claims.items() if k != "name"}, admin, algorithm="HS256"), "'name' is missing"),
        (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "its signature is wrong"),
        ("eyJ.eyJ.x", "it is not a JWT"),
    ]
    for value, reason in bad:
        response = get(client, "/v0/pipes/totals.json", value)
        assert (response.status_code, reason in response.json()["error"]) == (403, True), response.text


def test_no_request_changes_a_fixed_parameter(client: Client) -> None:
    fixed = {"type": "PIPES:READ", "resource": "totals", "fixed_params": {"ids": "a"}}
    for value in (
        sign(client, fixed),
        client("POST", "/v0/tokens", params={"name": "fixed"}, json={"scopes": [fixed]}).json()["token"],
    ):
        bearer = {"Authorization": f"Bearer {value}"}
        path = "/v0/pipes/totals.json"
        for response in (
            get(client, path, value),
            get(client, path, value, ids="b"),
            get(client, path, value, ids=["a", "b"]),
            client("POST", path, token=None, headers=bearer, data={"ids": "b"}),
            client("POST", path, token=None, headers=bearer, json={"ids": ["b"]}),
            get(client, path, value, q="SELECT * FROM _", ids="b"),
            get(client, path, value, q="% SELECT *, {{Array(ids, 'String')}} AS given FROM _", ids="b"),
            get(client, "/v0/sql", value, q="SELECT * FROM totals", ids="b"),
            get(client, "/v0/sql", value, q="% SELECT * FROM totals WHERE {{String(ids)}} != ''", ids="b"),
            get(client, "/v0/sql", value, q="SELECT * FROM _", pipeline="totals", ids="b"),
        ):
            assert response.status_code == 200, response.text
            assert [row["id"] for row in response.json()["data"]] == ["a"]
        plan = get(client, "/v0/pipes/totals/explain", value, ids="b")
        assert plan.status_code == 403  # it counts parts and granules of all rows


FILTERED = [
    ("SELECT count() AS n FROM events", 2),
    ("SELECT count() AS n FROM events WHERE id = 'b'", 0),
    ("SELECT sum(amount) AS n FROM (SELECT * FROM events)", 4),
    ("WITH e AS (SELECT amount FROM events) SELECT sum(amount) AS n FROM e", 4),
    ("SELECT max(amount) AS n FROM events AS x", 3),
    ("SELECT (SELECT min(amount) FROM events WHERE id != 'a') AS n", None),
    ("SELECT sum(n) AS n FROM (SELECT amount AS n FROM events UNION ALL SELECT amount FROM events)", 8),
    ("SELECT count() AS n FROM events e1 CROSS JOIN events e2", 4),
    ("SELECT count() AS n FROM numbers(3) AS k LEFT JOIN events AS e ON k.number = e.amount WHERE e.id != ''", 1),
    ("SELECT count() AS n FROM numbers(4) WHERE number IN (SELECT amount FROM events)", 2),
    ("SELECT count() AS n FROM events WHERE throwIf(id = 'b') = 0", 2),
    ("SELECT count() AS n FROM events WHERE throwIf(amount = 2) = 0 AND at < now()", 2),
    ("SELECT sum(1 / (amount - 2) > 99) AS n FROM events WHERE intDiv(1, amount - 2) < 9", 0),
    ("SELECT 'a' AS id, count() AS n FROM events WHERE id = 'a'", 2),
    ("SELECT count() AS n FROM (SELECT amount AS x, id AS y FROM events) WHERE y = 'b'", 0),
    ("SELECT count() AS n FROM totals", 1),
    ("SELECT sum(total) AS n FROM totals", 4),
]


@pytest.mark.parametrize(("q", "n"), FILTERED, ids=[q for q, _ in FILTERED])
def test_no_query_reads_a_row_that_a_filter_leaves_out(client: Client, q: str, n: int | None) -> None:
    pipe = {"type": "PIPES:READ", "resource": "totals"}
    found = sql(client, sign(client, MINE, pipe), q)
    assert isinstance(found, list), found
    if n is not None:
        assert found[0]["n"] == n


def test_rows_that_any_of_its_filters_gives(client: Client) -> None:
    other = {**MINE, "filter": "id = 'b' AND amount > 0"}
    for first in (
        "id = 'a'",
        "id = 'a' -- mine",
        "id = 'a' # mine",
        "id = 'nobody' /* ) OR (1 */ OR id = 'a' -- ) OR (1",
    ):
        value = sign(client, {**MINE, "filter": first}, other)
        told = get(client, "/v0/sql", value, q="SELECT DISTINCT id FROM events ORDER BY id")
        assert told.json().get("data") == [{"id": "a"}, {"id": "b"}], told.text
        value = sign(client, {**MINE, "filter": first}, {**other, "filter": "id = 'nobody'"})
        told = get(client, "/v0/sql", value, q="SELECT DISTINCT id FROM events ORDER BY id")
        assert told.json().get("data") == [{"id": "a"}], told.text


def test_other_ways_round_a_filter(client: Client) -> None:
    signed = sign(client, MINE, {"type": "PIPES:READ", "resource": "totals"})
    for q, status in (
        ("SELECT count() FROM events PREWHERE throwIf(id = 'b') = 0", 400),
        ("SELECT count() FROM (SELECT id FROM events PREWHERE throwIf(id = 'b') = 0)", 400),
        ("SELECT * FROM events_quarantine", 403),
        ("SELECT count() FROM events SETTINGS additional_table_filters = {}", 400),
        ("SELECT count() FROM totals_copy", 403),
    ):
        assert sql(client, signed, q) == status, q
    data = get(client, "/v0/pipes/totals.json", signed).json()["data"]
    assert [row["id"] for row in data] == ["a"]
    assert get(client, "/v1/datasources/events/quarantine", signed).status_code == 403
    plain = make(client, "DATASOURCES:READ:events:id = 'a'", "DATASOURCES:READ:events:id = 'b'")
    assert sql(client, plain, "SELECT count() AS n FROM events") == [{"n": 3}]
    whole = make(client, "DATASOURCES:READ:events:id = 'a'", "DATASOURCES:READ:events", name="whole")
    assert sql(client, whole, "SELECT count() AS n FROM events") == [{"n": 3}]
    few = make(client, "DATASOURCES:READ:events:id = 'a'", name="few")
    assert sql(client, few, "SELECT count() AS n FROM events") == [{"n": 2}]
    other = FILES | {
        "datasources/events.datasource": EVENTS.replace("id String", "key String").replace("$.id", "$.key")
    }
    other |= {"pipes/totals.pipe": "NODE n\nSQL >\n    SELECT key FROM events\nTYPE endpoint\n"}
    other |= {"pipes/snapshot.pipe": FILES["pipes/snapshot.pipe"].replace("SELECT id", "SELECT key AS id")}
    other["pipes/snapshot.pipe"] = other["pipes/snapshot.pipe"].replace("GROUP BY id", "GROUP BY key")
    client.workspace.deploy(other, allow_destructive=True)
    assert sql(client, few, "SELECT count() AS n FROM events") == 400  # closed, not open


def test_one_token_costs_no_look_at_all_others(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many thousands of them, one workspace's requests for tokens would hold up everybody's."""
    headers = {"Authorization": f"Bearer {client.instance.workspaces.admin_token(client.workspace).value}"}
    foreign = client.instance.workspaces.admin_token(client.instance.default).value
    ask = partial(client, token=None, headers=headers)
    monkeypatch.setattr(client.instance.catalog.tokens, "all", lambda *_: pytest.fail("all tokens were read"))
    made = ask("POST", "/v0/tokens?name=one&scope=TOKENS").json()
    assert ask("POST", "/v0/tokens?name=one&scope=TOKENS").status_code == 409
    other = ask("POST", f"/v0/tokens?name={made['id']}&scope=TOKENS").json()  # called as the first one's id is
    for name in (made["id"], made["name"], made["token"]):
        assert ask("GET", f"/v0/tokens/{name}").json()["id"] == made["id"]
    assert ask("PUT", "/v0/tokens/one?scope=PIPES:READ").json()["id"] == made["id"]
    fresh = ask("POST", "/v0/tokens/one/refresh").json()["token"]
    assert ask("GET", f"/v0/tokens/{made['token']}").status_code == 403
    assert ask("GET", f"/v0/tokens/{fresh}").json()["id"] == made["id"]
    assert ask("DELETE", f"/v0/tokens/{made['id']}").json() == {"ok": True}
    assert ask("GET", f"/v0/tokens/{other['id']}").json()["name"] == made["id"]
    assert ask("GET", f"/v0/tokens/{foreign}").status_code == 403  # another workspace's names nothing here
