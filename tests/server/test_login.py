"""`tb login`: nobody gets a token who did not show one."""

from __future__ import annotations

import re
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from clickpipe.auth import Logins
from tests.server.conftest import Client

CODE = "A2C4D2G4"


def login(client: Client, **form: str) -> httpx.Response:
    return client("POST", "/api/cli-login", token=None, data=form, headers={"Accept": "text/html,*/*"})


def poll(client: Client, **params: str) -> httpx.Response:
    return client("GET", "/api/cli-login", token=None, params=params)


def test_by_code(default: Client) -> None:
    page = poll(default, apiHost="http://test", code=CODE, method="code")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "A2C4-D2G4" in page.text
    waiting = poll(default, apiHost="http://test", cliCode=CODE, method="code")
    assert (waiting.status_code, "approved" in waiting.json()["error"]) == (404, True)
    value = default.token("workspace admin token").value
    assert login(default, code="short", method="code", token=value).status_code == 400
    assert "Go back" in login(default, code=CODE, method="code", token=value).text
    assert poll(default, cliCode="OTHER123").status_code == 404
    told = poll(default, cliCode=CODE, method="code").json()
    assert told == {"workspace_token": value, "user_token": value, "api_host": "http://test"}
    assert poll(default, cliCode=CODE, method="code").status_code == 404  # once


def test_by_browser(client: Client) -> None:
    page = poll(client, apiHost="http://elsewhere.example", workspace=client.workspace.name)
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert form == {"workspace": client.workspace.name}
    value = client.token("workspace admin token").value
    back = login(client, **form, token=value)
    assert back.status_code == 303
    where = urlsplit(back.headers["location"])
    assert (where.scheme, where.netloc, where.path) == ("http", "localhost:49160", "/")
    given = {name: values[0] for name, values in parse_qs(where.query).items()}
    assert given.keys() == {"code", "workspace", "region", "provider"}
    told = poll(client, code=given["code"])
    assert told.json() == {"workspace_token": value, "user_token": value, "api_host": "http://test"}
    assert poll(client, code=given["code"]).status_code == 404
    last = client("GET", f"/{given['provider']}/{given['region']}/cli-login", token=None, params={"workspace": "x"})
    assert "Go back" in last.text


def test_the_default_workspace_opens_others_no_other_does(default: Client, client: Client) -> None:
    admin = default.token("workspace admin token").value
    own = client.token("workspace admin token").value
    name = client.workspace.name
    code = parse_qs(urlsplit(login(default, workspace=name, token=admin).headers["location"]).query)["code"][0]
    told = poll(default, code=code).json()
    assert (told["workspace_token"], told["user_token"]) == (own, admin)
    assert login(client, workspace="default", token=own).status_code == 403
    others = ("default", "defaul", "nothing")
    told = {login(client, workspace=other, token=own).text.replace(other, "") for other in others}
    assert len(told) == 1  # not which others there are, nor which have a name like that
    assert login(default, workspace="nothing", token=admin).status_code == 404


@pytest.mark.parametrize("token", ["", "wrong", "reader"])
def test_other_tokens_are_refused_on_the_page(client: Client, token: str) -> None:
    value = client.token("reader").value if token == "reader" else token
    answer = login(client, code=CODE, method="code", token=value)
    assert answer.status_code == 403
    assert 'class="error"' in answer.text
    assert not value or value not in answer.text
    assert poll(client, cliCode=CODE).status_code == 404


def test_the_page_is_inert(client: Client) -> None:
    evil = '"><script>alert(1)</script>'
    for page in (poll(client, workspace=evil, code=evil, method="code"), login(client, workspace=evil, token="x")):
        assert "<script" not in page.text
        assert page.headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


def test_codes_end() -> None:
    logins = Logins(0.05)
    code = logins.approve({"user_token": "x"})
    time.sleep(0.1)
    assert logins.take(code) is None
    many = Logins()
    first = many.approve({"user_token": "x"})
    for _ in range(100):
        many.approve({"user_token": "y"})
    assert many.take(first) is None
