"""No header and no body holds the event loop: while one is read, all others are answered."""

from __future__ import annotations

import asyncio
import codecs
import encodings
import gc
import pkgutil
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

import clickpipe.server
from clickpipe.server import create_app
from clickpipe.server.app import ROUTES as EVERY
from tests.server.conftest import Client, make

MOST = 1.0  # seconds in which nobody else is answered: what is attacked here took from 1.2 to hours
SIZE = 9_900_000  # bytes: as large as a body may be
SOURCES = [path.read_text() for path in Path(clickpipe.server.__file__).parent.glob("*.py")]
ASKED = re.compile(r"""(?:headers(?:\.get\(|\[)|header\(request, |given(?:"\])?\.get\()b?["']([a-z-]+)["']""")
HEADERS = sorted({name for text in SOURCES for name in ASKED.findall(text)} - {"content-length"})
LONG = 60_000
ATTACKS = {
    "semicolons": ";" * LONG,
    "open quote": ';"' + ";" * 2 * LONG,
    "quotes": ';a="\\"' * (LONG // 7),
    "commas": "," * LONG,
    "blanks": " \t" * (LONG // 2) + "x",
    "equals": "a=" * (LONG // 2),
    "numbered": "".join(f";charset*{number}*=a" for number in range(LONG // 14)),
    "dots": "ey" + "." * LONG,
    "digits": "bytes=" + "9" * LONG,
}
BEGINNINGS = ("", "multipart/form-data; boundary=x")
ROUTES = (
    ("POST", "/v0/datasources?name=events&format=csv", b"id,amount,at\n"),
    ("POST", "/?query=SELECT+1", b""),
    ("POST", "/v0/pipes/totals.json", b"limit=1"),
    ("GET", "/v0/pipes/totals.json", b""),
)


class Watched:
    """Sends requests to the application, and measures for how long nothing else went on meanwhile.

    The machine may have stopped instead: what takes too long is sent twice more, and the shortest counts.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    async def _send(self, *asked: httpx.Request) -> list[tuple[int, float]]:
        longest = 0.0

        async def beat() -> None:
            nonlocal longest
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.002)
                longest = max(longest, time.perf_counter() - before)

        transport = httpx.ASGITransport(create_app(self.client.instance), raise_app_exceptions=False)
        found = []
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            beating = asyncio.create_task(beat())
            for one in asked:
                await asyncio.sleep(0)
                longest = 0.0
                response = await client.send(one)
                await asyncio.sleep(0.003)
                found.append((response.status_code, longest))
            beating.cancel()
        return found

    def __call__(self, *asked: httpx.Request) -> list[tuple[int, float]]:
        found = asyncio.run(self._send(*asked))
        for number, (status, longest) in enumerate(found):
            if longest > MOST:
                again = asyncio.run(self._send(*[asked[number]] * 2))
                found[number] = (status, min(longest, *(seconds for _, seconds in again)))
        return found


@pytest.fixture
def watched(client: Client) -> Iterator[Watched]:
    gc.disable()  # late in a suite, one of its rounds takes most of a second
    yield Watched(client)
    gc.enable()


def _request(watched: Watched, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Request:
    token = watched.client.token("workspace admin token").value
    given = {"Authorization": f"Bearer {token}", **headers}
    return httpx.Request(method, f"http://test{path}", headers=given, content=body)


def test_no_header_takes_more_than_its_length(watched: Watched) -> None:
    assert {"content-type", "authorization", "range", "if-match", "x-clickhouse-key"} <= set(HEADERS)
    for header in HEADERS:
        wrong = []
        for method, path, body in ROUTES:
            cases = [(name, beginning + text) for beginning in BEGINNINGS for name, text in ATTACKS.items()]
            asked = [_request(watched, method, path, body, {header.title(): text}) for _, text in cases]
            for (name, text), (status, longest) in zip(cases, watched(*asked), strict=True):
                wrong += [(header, path, name, text[:40], status, longest)] if status >= 500 or longest > MOST else []
        assert wrong == []


def _paths() -> Iterator[str]:
    """Yield paths of the longest kind for each route: what fills a hole, and what stands behind."""
    for path in sorted({path for _, path, _ in EVERY if "{" in path}):
        before, _, behind = path.partition("{")
        behind = re.sub(r"\{\w+(?::\w+)?\}", "x", behind.partition("}")[2])
        for one in (".", "a.", "/", "%0a", "1"):
            text = one * (60_000 // len(one))
            yield from (
                before + text + end for end in ("", "/", "/x", "x", "%0a", "/..", behind, f"{behind}/", ".json/x")
            )


def test_no_path_takes_more_than_its_length(watched: Watched) -> None:
    """Before any token: the way to a route."""
    asked = [httpx.Request("GET", f"http://test{path}") for path in sorted(set(_paths()))]
    asked += [httpx.Request("POST", f"http://test/v0/pipes/{'.' * 60_000}/x")]
    for one, (status, longest) in zip(asked, watched(*asked), strict=True):
        path = one.url.raw_path
        assert status in {401, 403, 404, 405}, (path[:40], path[-10:])
        assert longest < MOST, (path[:40], path[-10:])


def _form(charset: str, text: bytes) -> tuple[bytes, dict[str, str]]:
    body = b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\n' + text + b"\r\n--x--\r\n"
    return body, {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}


CODECS = sorted({module.name for module in pkgutil.iter_modules(encodings.__path__)} | {"../../x", "\x7f", "a" * 300})


@pytest.mark.parametrize("path", ["/", "/v1/deploy?check=true", "/v0/datasources?name=events&format=csv"])
def test_no_charset_of_a_form_takes_more_than_its_length(watched: Watched, path: str) -> None:
    texts = (b"a" * 60_000 + b"-" + b"a" * 60_000, b"xn--\xff", bytes(range(256)))
    cases = [(codec, text) for codec in CODECS for text in texts]
    asked = [_request(watched, "POST", path, *_form(codec, text)) for codec, text in cases]
    for (codec, text), (status, longest) in zip(cases, watched(*asked), strict=True):
        assert status < 500, (codec, text[:10])
        assert longest < MOST, (codec, text[:10])


def test_no_charset_of_a_file_takes_long_or_breaks(client: Client) -> None:
    texts = (b"id,amount,at\n" + b"a" * 60_000 + b"-" + b"b" * 60_000, b"id\nxn--\xff.a\n", bytes(range(256)))
    for codec in CODECS:
        began = time.process_time()
        for text in texts:
            params = {"name": "events", "format": "csv", "charset": codec}
            response = client("POST", "/v0/datasources", params=params, content=text)
            assert response.status_code in {200, 400}, (codec, response.text)
            assert "internal error" not in response.text, codec
        assert time.process_time() - began < 4, codec


def test_charsets_that_people_write_files_in_are_taken(client: Client) -> None:
    for codec in ("utf-8", "UTF8", "latin-1", "windows-1252", "cp437", "big5", "shift_jis", "gb18030", "utf-16"):
        body = "id,amount,at\né,1,2026-01-01 00:00:00\n"
        try:
            data = body.encode(codec)
        except UnicodeEncodeError:
            data = body.replace("é", "e").encode(codec)
        response = client("POST", f"/v0/datasources?name=events&format=csv&charset={codec}", content=data)
        assert response.json().get("successful_rows") == 1, (codec, response.text)


def _block(method: int, body: bytes, plain: int) -> bytes:
    packed = struct.pack("<BII", method, len(body) + 9, plain) + body
    checksum = CityHash128(packed)
    return struct.pack("<QQ", checksum >> 64, checksum & ((1 << 64) - 1)) + packed


def _filled(one: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    return before + one * ((SIZE - len(before) - len(after)) // len(one)) + after


BODIES = {
    "blocks of nothing": ("/?decompress=1&query=SELECT+1", _filled(_block(0x02, b"", 0))),
    "zstd of nothing": ("/?decompress=1&query=SELECT+1", _filled(_block(0x90, zstandard.compress(b""), 0))),
    "a list of lists": ("/v0/pipes/totals.json", _filled(b"[],", b'{"ids":[', b"0]}")),
    "a list of numbers": ("/v0/sql", _filled(b"0,", b'{"q":"SELECT 1","a":[', b"0]}")),
    "a form of escapes": ("/v0/pipes/totals.json", _filled(b"%41", b"ids=")),
    "a form for SQL": ("/v0/sql", _filled(b"%ff", b"q=")),
    "a form of a condition": ("/v0/datasources/events/delete", _filled(b"%41", b"delete_condition=")),
}


@pytest.mark.parametrize("what", BODIES)
def test_no_body_holds_the_loop(watched: Watched, what: str) -> None:
    path, body = BODIES[what]
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if b"%" in body[:30] else {}
    ((status, longest),) = watched(_request(watched, "POST", path, body, kind))
    assert status < 500
    assert longest < MOST


def test_forms_are_read_in_one_place() -> None:
    """Starlette's own reading of a form is called where charset, size and number are bounded, and only there."""
    folder = Path(clickpipe.server.__file__).parent
    assert [p.name for p in folder.glob("*.py") if ".form(" in p.read_text()] == ["forms.py"]
    for path in folder.parent.rglob("*.py"):
        assert not re.search(r"^(?:from|import) email\b", path.read_text(), re.MULTILINE), path


def test_a_reader_stops_nobody(watched: Watched) -> None:
    """The attack as it was: a token that may read one pipe, one form."""
    value = make(watched.client, "PIPES:READ:totals", name="only reads")
    body, headers = _form("punycode", b"a" * 100_000 + b"-" + b"a" * 100_000)
    request = httpx.Request("POST", "http://test/", headers={**headers, "X-ClickHouse-Key": value}, content=body)
    assert watched(request)[0][1] < MOST
    assert codecs.lookup("punycode").name == "punycode"  # Python still has it
