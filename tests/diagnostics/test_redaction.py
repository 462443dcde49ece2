"""What is hidden of texts that are shown."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import redact, redact_query

SECRET = "-----BEGIN 'K'\nMII\\abcdef\t-----END"


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        SECRET.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t"),
        SECRET.replace("'", "''"),
        json.dumps(SECRET),
        quote(SECRET),
        quote(SECRET, safe=""),
        SECRET[:20],
        SECRET[5:],
        SECRET.lower(),
        SECRET.upper(),
        SECRET.swapcase()[4:22],
        quote(SECRET).lower(),
        json.dumps(SECRET).upper(),
    ],
)
def test_a_secret_is_hidden_however_it_is_escaped(form: str) -> None:
    shown = redact(f"Cannot parse {form} as UInt8", [SECRET])
    assert shown.startswith("Cannot parse ")
    assert shown.endswith(" as UInt8")
    assert not any(part in shown for part in ("BEGIN", "MII", "abcdef", "begin", "mii", "ABCDEF"))


@given(st.text(min_size=9), st.text(), st.text())
def test_no_text_around_it_brings_a_secret_out(secret: str, before: str, after: str) -> None:
    assert secret not in redact(f"{before}{secret}{after}", [secret]) or secret in "***"


@given(st.text(st.characters(codec="ascii"), min_size=9), st.text(), st.text())
def test_no_case_brings_it_out(secret: str, before: str, after: str) -> None:
    for shown in (secret.lower(), secret.upper(), secret.swapcase()):
        told = redact(f"{before}{shown}{after}", [secret])
        assert shown not in told or shown in "***"


@pytest.mark.parametrize(
    "text",
    [
        "GET /v0/sql?token=canary&q=1",
        "https://joe:canary@example.com/x",
        "Authorization: Bearer canary-canary",
        "http://h/?user=canary",
        "http://h/?password=canary",
        "/?X-Amz-Signature=canary",
    ],
)
def test_logs_have_no_credentials(text: str) -> None:
    assert "canary" not in redact(text, urls=True)


def test_tokens_are_hidden_everywhere() -> None:
    claims = base64.urlsafe_b64encode(b'{"workspace_id": "a"}').decode().rstrip("=")
    assert redact(f"the token eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln is wrong") == "the token *** is wrong"
    assert redact("p." + "x" * 40) == "***"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=a&b=1", "b=1"),
        ("b=1&%74oken=a", "b=1"),
        ("pass%77ord=a&user=x&query=1", "query=1"),
        ("TOKEN=a", ""),
        ("+token=a", ""),
        ("", ""),
        ("tokens=1", "tokens=1"),
        (f"a=p.{'x' * 40}&b=1", "a=***&b=1"),
        (f"q=SELECT+'p.{'x' * 40}'", "q=SELECT+'***'"),
        (f"b=1&a=%70.{'x' * 40}", "b=1&a=***"),
        (f"p.{'x' * 40}", "***"),
        (f"b=%70.{'x' * 40}=1&c=2", "b=***&c=2"),
    ],
)
def test_the_query_of_a_url_is_shown_without_its_tokens(query: str, shown: str) -> None:
    assert redact_query(query) == shown
