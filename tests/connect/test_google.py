"""Google Cloud Storage with a service account: a token, and then what S3 speaks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clickpipe.connect import Bucket, Objects, google
from clickpipe.connect.google import ServiceAccount
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import files_of

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PAGE = (
    b"<?xml version='1.0'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'><Contents><Key>a.csv</Key>"
    b'<LastModified>2026-01-31T10:00:00.000Z</LastModified><ETag>"1"</ETag><Size>3</Size></Contents></ListBucketResult>'
)


class Google:
    """Gives tokens for a key that it knows, and files for its tokens."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()
        self.answer, self.status = b"", 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                found = jwt.decode(form["assertion"][0], KEY.public_key(), ["RS256"], audience=outer.tokens)
                asked.append(f"token for {found['iss']} {found['scope'].rpartition('/')[2]}")
                self.say(outer.answer or json.dumps({"access_token": "t", "expires_in": 3599}).encode(), outer.status)

            def do_GET(self) -> None:
                asked.append(f"{self.path} {self.headers['Authorization']}")
                self.say(PAGE if "list-type" in self.path else b"id\n")

            def say(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.tokens = f"{self.url}/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    made = Google()
    monkeypatch.setattr(google, "_TOKENS", made.tokens)
    yield made
    made.server.shutdown()
    made.server.server_close()


def objects(service: Google, key: str = PEM) -> Objects:
    account = ServiceAccount.of(json.dumps({"type": "service_account", "client_email": "me@x", "private_key": key}))
    bucket = Bucket("w", "events", files_of("gs://bucket/*"), "@auto", "", None, service.url, account)
    return Objects(bucket, private=True, limit=1000, seconds=20.0)


def test_files_are_listed_and_fetched_with_one_token(service: Google, tmp_path: Path) -> None:
    found = objects(service)
    [[file]] = found.pages(tmp_path / "page")
    found.fetch(file, tmp_path / "file", lambda _: None)
    assert (tmp_path / "file").read_bytes() == b"id\n"
    assert service.asked == [
        "token for me@x devstorage.read_only",
        "/bucket?list-type=2&encoding-type=url&prefix= Bearer t",
        "/bucket/a.csv Bearer t",
    ]


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        (
            b'{"error": "invalid_grant", "error_description": "secret"}',
            400,
            "no token to the service account: invalid_grant.",
        ),
        (b'{"error": ["secret"]}', 400, "no token"),
        (b"no json", 200, "an unexpected answer"),
        (b"[]", 200, "an unexpected answer"),
        (b"[]", 500, "an unexpected answer"),
        (b'{"access_token": "t"}', 200, "an unexpected answer"),
    ],
)
def test_no_token(service: Google, tmp_path: Path, answer: bytes, status: int, message: str) -> None:
    service.answer, service.status = answer, status
    with pytest.raises(ClickpipeError, match=message):
        list(objects(service).pages(tmp_path / "page"))


def test_nobody_answers(service: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(google, "_TOKENS", "http://127.0.0.1:9/token")
    with pytest.raises(ClickpipeError, match="ConnectError"):
        list(objects(service).pages(tmp_path / "page"))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "no json", '{"client_email": 1, "private_key": "a"}', "[" * 9999]
)
def test_what_is_no_service_account(text: str) -> None:
    with pytest.raises(ClickpipeError, match="not the JSON file of a service account"):
        ServiceAccount.of(text)


@pytest.mark.parametrize(
    "key", ["", "no key", PEM.replace("M", "N"), "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"]
)
def test_a_broken_key(service: Google, tmp_path: Path, key: str) -> None:
    with pytest.raises(ClickpipeError, match="cannot be read"):
        list(objects(service, key).pages(tmp_path / "page"))


def test_no_secret_is_shown(service: Google) -> None:
    assert "PRIVATE" not in repr(objects(service).bucket)


def test_a_key_is_checked_once(service: Google, tmp_path: Path) -> None:
    """The check takes time in which no other thread of the server goes on."""
    google._key.cache_clear()
    broken = PEM.replace("M", "N")
    for _ in range(3):
        list(objects(service).pages(tmp_path / "page"))
        with pytest.raises(ClickpipeError, match="cannot be read"):
            list(objects(service, broken).pages(tmp_path / "page"))
    assert google._key.cache_info().misses == 2


def test_a_key_that_takes_long_to_check_is_not_read(service: Google, tmp_path: Path) -> None:
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{'A' * 2000}\n-----END RSA PRIVATE KEY-----\n"
    with pytest.raises(ClickpipeError, match="longer than those that Google gives out"):
        list(objects(service, key).pages(tmp_path / "page"))
