"""What a token with some scopes may do."""

from __future__ import annotations

import pytest

from clickpipe.auth import SCOPES, allows, parse_scope, require
from clickpipe.catalog import Token
from clickpipe.diagnostics import ClickpipeError


def token(*scopes: str) -> Token:
    return Token("1", "w", "mine", "secret", scopes, "datafile", "")


@pytest.mark.parametrize(
    ("scopes", "wanted", "resource", "allowed"),
    [
        ([], "PIPES:READ", "a", False),
        (["ADMIN"], "PIPES:READ", "a", True),
        (["ADMIN"], "WORKSPACE:DEPLOY", "", True),
        (["PIPES:READ:a"], "PIPES:READ", "a", True),
        (["PIPES:READ:a"], "PIPES:READ", "b", False),
        (["PIPES:READ:a"], "PIPES:READ", "", False),
        (["PIPES:READ:a"], "PIPES:DROP", "a", False),
        (["PIPES:READ:a"], "DATASOURCES:READ", "a", False),
        (["PIPES:READ:ab"], "PIPES:READ", "a", False),
        (["PIPES:READ"], "PIPES:READ", "a", True),
        (["PIPES:READ:b", "PIPES:READ:a"], "PIPES:READ", "a", True),
        (["DATASOURCES:APPEND:a"], "DATASOURCES:READ", "a", False),
        (["WORKSPACE:READ_ALL"], "PIPES:READ", "a", True),
        (["WORKSPACE:READ_ALL"], "DATASOURCES:READ", "a", True),
        (["WORKSPACE:READ_ALL"], "DATASOURCES:APPEND", "a", False),
        (["WORKSPACE:READ_ALL"], "TOKENS", "", False),
        (["WORKSPACE:DEPLOY"], "DATASOURCES:CREATE", "", False),
        (["admin"], "PIPES:READ", "a", False),
    ],
)
def test_a_scope_allows_what_it_says(scopes: list[str], wanted: str, resource: str, *, allowed: bool) -> None:
    assert allows(token(*scopes), wanted, resource) is allowed
    if allowed:
        require(token(*scopes), wanted, resource)
        return
    with pytest.raises(ClickpipeError) as caught:
        require(token(*scopes), wanted, resource)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")
    assert wanted in caught.value.message
    assert f"'{resource}'" in caught.value.message or not resource
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        *((scope, (scope, "")) for scope in SCOPES),
        ("PIPES:READ:top_pages", ("PIPES:READ", "top_pages")),
        ("DATASOURCES:APPEND:events", ("DATASOURCES:APPEND", "events")),
    ],
)
def test_a_scope_is_read_with_its_resource(text: str, parsed: tuple[str, str]) -> None:
    assert parse_scope(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "admin", "PIPES", "PIPES:WRITE:a", "PIPES:READER", "ADMIN:a", "TOKENS:a", "PIPES:READ:"],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(ClickpipeError, match="is not a scope"):
        parse_scope(text)
