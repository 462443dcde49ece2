"""Files from the web: what is fetched, and which addresses are never called."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import fetch


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, headers, body = {
            "/rows": (200, {"Content-Encoding": "gzip"}, b"12345"),
            "/moved": (302, {"Location": "/rows"}, b""),
            "/away": (302, {"Location": "http://10.0.0.1/rows"}, b""),
            "/file": (302, {"Location": "file:///etc/passwd"}, b""),
            "/round": (302, {"Location": "/round"}, b""),
        }.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_file_is_saved_also_behind_a_redirect(site: str, tmp_path: Path) -> None:
    for path in ("/rows", "/moved"):
        seen: list[int] = []
        assert fetch(site + path, tmp_path / "file", private=True, limit=5, progress=seen.append) == "gzip"
        assert (tmp_path / "file").read_bytes() == b"12345"
        assert seen == [5]


@pytest.mark.parametrize(
    ("path", "message", "status"),
    [
        ("/none", "answered with the status 404", 400),
        ("/file", "starts with http:// or https://", 400),
        ("/round", "redirects more than 5 times", 400),
    ],
)
def test_what_cannot_be_fetched(site: str, tmp_path: Path, path: str, message: str, status: int) -> None:
    with pytest.raises(ClickpipeError, match=message) as error:
        fetch(site + path, tmp_path / "file", private=True, limit=5, progress=lambda _: None)
    assert error.value.status == status


def test_more_than_is_allowed(site: str, tmp_path: Path) -> None:
    with pytest.raises(ClickpipeError, match="larger than 4 bytes") as error:
        fetch(f"{site}/rows", tmp_path / "file", private=True, limit=4, progress=lambda _: None)
    assert error.value.status == 413


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://0.0.0.0/", "http://10.1.2.3/",
        "http://192.168.0.1/", "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data/", "http://100.64.0.1/",
        "http://[::ffff:127.0.0.1]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[2002:7f00:1::]/",
        "http://2130706433/", "http://0x7f000001/", "http://127.1/", "http://224.0.0.1/", "http://user@127.0.0.1/",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_not_called(tmp_path: Path, url: str) -> None:
    with pytest.raises(ClickpipeError, match=r"not public|cannot be fetched") as error:
        fetch(url, tmp_path / "file", private=False, limit=5, progress=lambda _: None)
    assert error.value.status in {400, 403}
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/", "gopher://x/", "http://", "//x/", "", "http://x:port/"]
)
def test_urls_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(ClickpipeError) as error:
        fetch(url, tmp_path / "file", private=True, limit=5, progress=lambda _: None)
    assert error.value.code == "bad_url"


def test_a_redirect_is_looked_at_too(site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[fetch.__module__]
    monkeypatch.setattr(module, "is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(ClickpipeError, match="not public"):
        fetch(f"{site}/away", tmp_path / "file", private=False, limit=5, progress=lambda _: None)
