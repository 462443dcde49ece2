"""Secrets over HTTP: set, named, removed, used in templates, and never told."""

from __future__ import annotations

import pytest

from tests.server.conftest import FILES, Client

KEYED = "NODE n\nSQL >\n    %\n    SELECT {{tb_secret('key')}} = {{String(guess)}} AS same\nTYPE endpoint\n"
PATH = "/v0/pipes/keyed.json?guess="


@pytest.fixture
def keyed(client: Client) -> Client:
    client.workspace.deploy({**FILES, "pipes/keyed.pipe": KEYED})
    return client


def same(client: Client, guess: str) -> bool:
    return bool(client("GET", f"{PATH}{guess}").json()["data"][0]["same"])


def test_a_secret_is_used_from_when_it_is_set(keyed: Client) -> None:
    missing = keyed("GET", f"{PATH}x")
    assert (missing.status_code, "the secret 'key' is not set" in missing.json()["error"]) == (400, True)
    made = keyed("POST", "/v0/variables", data={"name": "key", "value": "first", "type": "secret"})
    assert made.json().keys() == {"name", "type", "created_at", "updated_at"}
    assert same(keyed, "first")
    assert keyed("PUT", "/v0/variables/key", data={"value": "second"}).status_code == 200
    assert (same(keyed, "first"), same(keyed, "second")) == (False, True)
    assert keyed("POST", "/v0/variables", json={"name": "key", "value": "third"}).status_code == 200
    assert same(keyed, "third")
    shown = keyed("GET", "/v0/variables")
    assert [v["name"] for v in shown.json()["variables"]] == ["key"]
    assert keyed("GET", "/v0/variables/key").json() == shown.json()["variables"][0]
    assert "third" not in shown.text
    assert keyed("DELETE", "/v0/variables/key").json() == {"ok": True}
    assert keyed("GET", f"{PATH}x").status_code == 400


def test_the_environment_comes_last(keyed: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_key", "of-the-environment")
    assert same(keyed, "of-the-environment")
    keyed("POST", "/v0/variables", data={"name": "key", "value": "kept"})
    assert same(keyed, "kept")
    keyed.workspace.local_secrets = {"key": "of-the-folder"}
    assert same(keyed, "of-the-folder")


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "error"),
    [
        ("GET", "/v0/variables/nothing", None, 404, "Not found"),
        ("PUT", "/v0/variables/nothing", {"value": "x"}, 404, "Variable not found"),
        ("DELETE", "/v0/variables/nothing", None, 404, "Variable not found"),
        ("POST", "/v0/variables", {"value": "x"}, 400, "'' is not a valid name for a secret"),
        ("POST", "/v0/variables", {"name": "a-b", "value": "x"}, 400, "'a-b' is not a valid name for a secret"),
        ("POST", "/v0/variables", {"name": "key"}, 400, "The parameter 'value' is missing"),
    ],
)
def test_what_is_refused(
    client: Client, method: str, path: str, data: dict[str, str] | None, status: int, error: str
) -> None:
    response = client(method, path, data=data)
    assert (response.status_code, response.json()["error"][: len(error)]) == (status, error)


def test_a_deployment_tells_of_secrets_that_are_not_set(client: Client) -> None:
    with_default = KEYED.replace("'key'", "'other', 'x'")
    files = {**FILES, "pipes/keyed.pipe": KEYED, "pipes/free.pipe": with_default}
    told = [f.message for f in client.workspace.deployments.prepare(files).plan.feedback]
    assert told == ["The secret 'key' is not set: calls fail until you `clickpipe secret set key`."]
    client("POST", "/v0/variables", data={"name": "key", "value": "x"})
    assert not client.workspace.deployments.prepare(files).plan.feedback


READS = {
    "connections/lake.connection": "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY {{ tb_secret('lake_key') }}\n"
    "S3_SECRET {{ tb_secret('lake_secret', 'd') }}\n",
    "connections/unused.connection": "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY {{ tb_secret('nobodys') }}\n"
    "S3_SECRET x\n",
    "connections/out.connection": "TYPE s3\nS3_REGION eu-west-1\nS3_ACCESS_KEY k\nS3_SECRET {{ tb_secret('out') }}\n",
    "pipes/sink.pipe": "NODE n\nSQL >\n    SELECT 1 AS one\nTYPE sink\nEXPORT_CONNECTION_NAME out\n"
    "EXPORT_BUCKET_URI s3://b/out\nEXPORT_FILE_TEMPLATE all\nEXPORT_SCHEDULE @on-demand\n",
    "datasources/files.datasource": "SCHEMA >\n    a String `json:$.a`\n\nIMPORT_CONNECTION_NAME lake\n"
    "IMPORT_BUCKET_URI s3://b/{{ tb_secret('part') }}*.ndjson\nIMPORT_SCHEDULE @auto\n",
}


def test_a_deployment_tells_of_secrets_that_reading_needs(client: Client) -> None:
    def told() -> list[tuple[str, str]]:
        feedback = client.workspace.deployments.prepare(READS).plan.feedback
        return [
            (f.resource, f.message.split("'")[1])
            for f in feedback
            if "is not set: nothing is read or sent" in f.message
        ]

    part, out = ("Datasource files.datasource", "part"), ("Connection out.connection", "out")
    assert told() == [part, ("Connection lake.connection", "lake_key"), out]
    client("POST", "/v0/variables", data={"name": "lake_key", "value": "x"})
    assert told() == [part, out]


_OPEN = "SELECT 'open' AS v"
_GATES = {
    "if": f"{{% if String(k, '') == tb_secret('gate') %}}{_OPEN}{{% else %}}SELECT 'shut' AS v{{% end %}}",
    "not": f"{{% if String(k, '') != tb_secret('gate') %}}SELECT 'shut' AS v{{% else %}}{_OPEN}{{% end %}}",
    "error": f"{{% if String(k, '') != tb_secret('gate') %}}{{{{error('no')}}}}{{% end %}}{_OPEN}",
    "set": f"{{% set right = String(k, '') == tb_secret('gate') %}}"
    f"{{% if right %}}{_OPEN}{{% else %}}SELECT 1 AS v{{% end %}}",
    "var": f"{{% if String(k, '') == tb_var('gate') %}}{_OPEN}{{% else %}}SELECT 'shut' AS v{{% end %}}",
    "default": f"{{% if String(k, '') == tb_secret('gate', 'one') %}}{_OPEN}{{% else %}}SELECT 'shut' AS v{{% end %}}",
    "in": f"{{% if String(k, '') in [tb_secret('gate')] %}}{_OPEN}{{% else %}}SELECT 'shut' AS v{{% end %}}",
    "loop": f"{{% for one in [tb_secret('gate')] %}}"
    f"{{% if one == String(k, '') %}}{_OPEN} UNION ALL {{% end %}}{{% end %}}"
    "SELECT 'end' AS v",
}
_READING = "NODE n\nSQL >\n    %\n    SELECT * FROM gate_{name}\nTYPE endpoint\n"


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("name", _GATES)
def test_a_branch_that_a_secret_decides_is_never_remembered(client: Client, name: str, *, through: bool) -> None:
    gate = f"NODE n\nSQL >\n    %\n    {_GATES[name]}\nTYPE endpoint\n"
    files = {**FILES, f"pipes/gate_{name}.pipe": gate, "pipes/reading.pipe": _READING.format(name=name)}
    client.workspace.deploy(files)
    pipe = "reading" if through else f"gate_{name}"

    def opens(key: str) -> bool:
        return "open" in client("GET", f"/v0/pipes/{pipe}.json?k={key}").text

    def told() -> list[bool]:
        return [opens(key) for key in ("one", "two", "one", "two")]

    if name == "default":
        assert told() == [True, False, True, False]
    client("POST", "/v0/variables", data={"name": "gate", "value": "one"})
    assert told() == [True, False, True, False]
    client("PUT", "/v0/variables/gate", data={"value": "two"})
    assert told() == [False, True, False, True]
    client("DELETE", "/v0/variables/gate")
    assert told() == [name == "default", False, name == "default", False]
