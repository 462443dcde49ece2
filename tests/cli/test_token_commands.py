"""`clickpipe token` and `clickpipe secret`."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.cli.conftest import ADMIN_TOKEN, Run


def test_tokens_are_hidden_unless_asked_for(deployed: Run) -> None:
    hidden = deployed("token", "ls").out
    assert "clickstream_read" in hidden
    assert ADMIN_TOKEN not in hidden
    assert ADMIN_TOKEN in deployed("token", "ls", "--show").out
    shown = {t["name"]: t["token"] for t in json.loads(deployed("token", "ls", "--json", "--show").out)}
    reader = ("--token", shown["clickstream_read"])
    assert deployed("endpoint", "data", "get_popular_pages", *reader).code == 0
    refused = deployed("token", "ls", *reader)
    assert (refused.code, "status 403" in refused.err) == (1, True)


def test_tokens_are_made_changed_and_ended(deployed: Run) -> None:
    value = deployed("token", "create", "dash board", "PIPES:READ:get_sessions", "--for", "90d").out.strip()
    assert deployed("endpoint", "data", "get_sessions", "--token", value).code == 0
    assert deployed("endpoint", "data", "get_daily_pages", "--token", value).code != 0
    assert deployed("token", "scopes", "dash board").out == "PIPES:READ:get_sessions\n"
    filtered = "DATASOURCES:READ:clickstream_events:user_id = 'nobody'"
    assert deployed("token", "scopes", "dash board", "--set", filtered).out == f"{filtered}\n"
    count = ("sql", "SELECT count() AS c FROM clickstream_events", "--format", "csv", "--token")
    assert deployed(*count, value).out == '"c"\n0\n'
    other = deployed("token", "refresh", "dash board").out.strip()
    assert other != value
    assert deployed(*count, value).code != 0
    assert deployed(*count, other).out == '"c"\n0\n'
    assert deployed("token", "rm", "dash board").code == 0
    assert deployed(*count, other).code != 0
    signed = deployed(
        *("token", "create", "browser", "PIPES:READ:get_sessions", "--jwt", "--for", "1h", "--rps", "100"),
        *("--fix", "get_sessions.user_id=nobody"),
    ).out.strip()
    answer = deployed("endpoint", "data", "get_sessions", "--json", "--token", signed)
    assert json.loads(answer.out) == []
    assert deployed("token", "rm", signed).code == 0
    assert deployed("endpoint", "data", "get_sessions", "--token", signed).code != 0


def test_a_tokens_limits(deployed: Run) -> None:
    made = deployed(
        *[
            "token",
            "create",
            "limited",
            "PIPES:READ:get_sessions",
            "--rps",
            "50",
            "--limit",
            "max_rows_to_read=9",
            "--json",
        ]
    )
    assert json.loads(made.out)["limits"] == {"rps": 50, "max_rows_to_read": 9}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("x", "PIPES:WRITE"), "'PIPES:WRITE' is not a scope"),
        (("x", "TOKENS", "--for", "soon"), "is not a time like 30m"),
        (("x", "PIPES:READ:a", "--jwt"), "--jwt needs --for"),
        (("x", "PIPES:READ:a", "--limit", "max_seconds"), "expected a name and a whole number"),
        (("x", "PIPES:READ:a", "--limit", "max_second=1"), "'limits' has no 'max_second': did you mean"),
        (("x", "PIPES:READ:a", "--fix", "b.c=1"), "is not PIPE.PARAM=VALUE"),
    ],
)
def test_tokens_that_cannot_be_made(deployed: Run, arguments: tuple[str, ...], error: str) -> None:
    done = deployed("token", "create", *arguments)
    assert done.code != 0
    assert error in done.err


def test_secrets(deployed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployed("secret", "set", "key", "value-1").out == ""
    monkeypatch.setattr(sys, "stdin", io.StringIO("of standard input\n"))
    assert deployed("secret", "set", "other").code == 0
    assert [s["name"] for s in json.loads(deployed("secret", "ls", "--json").out)] == ["key", "other"]
    assert "value-1" not in deployed("secret", "ls").out
    assert deployed("secret", "rm", "other").code == 0
    assert "Variable not found" in deployed("secret", "rm", "other").err
