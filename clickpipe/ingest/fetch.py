"""Downloads and sends files: http and https only, and only public addresses unless the settings allow others."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, NamedTuple, Self
from urllib.parse import quote, urljoin, urlsplit

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.public import is_public

_REDIRECTS = 5
_TIMEOUT = 30.0  # seconds without a byte
_LOOK = 0.5  # seconds between looks whether to go on
_BLOCK = 1 << 20
_REASON = 4_096  # bytes of an error to look at
_HEADERS = {"User-Agent": "clickpipe", "Accept-Encoding": "identity"}
_MOVED = {301, 302, 303, 307, 308}
_FINE = 2  # hundred
_NO_URL = "The URL, or one that it redirects to, is none that can be read."
Check = Callable[[str, Sequence[str]], None]  # of a host and its addresses; raises if one must not be connected to
_GLOBAL_ONLY = "The URL leads to an address that is not public. The setting import_private_urls allows it."


def fetch(
    url: str,
    into: Path,
    *,
    private: bool,
    limit: int,
    progress: Callable[[int], None],
    check: Callable[[], None] = lambda: None,
    seconds: float = 3600.0,
    headers: Mapping[str, str] = MappingProxyType({}),
    explain: Callable[[bytes], str] = lambda _: "",
    redirects: int = _REDIRECTS,
) -> str:
    """Download a URL to a file; return its Content-Encoding. `progress` is called with the bytes so far.

    `check` is called about twice a second, from another thread, also while nothing arrives: what it raises ends the
    download, and is raised here. `headers` are sent with each request, so set `redirects` to 0 if they are secret.
    `explain` returns what the beginning of an error's body says, if it may be shown.

    Each redirect is checked like the URL itself, and we connect to exactly the address that was checked. `private`
    allows addresses that are not public. Raises ClickpipeError if the URL is refused, the server fails, or the download
    with all redirects takes more than `seconds`.
    """
    with _Deadline(seconds, check) as deadline:
        for _ in range(redirects + 1):
            try:
                with _Response(url, deadline, _Asked("GET", None, headers), private=private) as response:
                    if response.status in _MOVED and redirects:
                        url = urljoin(url, response.header("Location"))
                        continue
                    if response.status != http.client.OK:
                        reason = explain(response.read(_REASON))
                        message = f"The URL answered with the status {response.status}{reason and ': '}{reason}."
                        raise ClickpipeError(message, code="fetch_failed")
                    _save(response, into, limit, progress)
                    deadline.require()
                    return response.header("Content-Encoding").strip().lower()
            except (OSError, http.client.HTTPException) as error:
                deadline.require()
                reason = getattr(error, "strerror", None) or type(error).__name__
                message = f"The URL cannot be fetched: {reason}."
                raise ClickpipeError(message, code="fetch_failed") from None
            except ValueError:  # an invalid host or port
                raise ClickpipeError(_NO_URL, code="bad_url") from None
    message = f"The URL redirects more than {redirects} times."
    raise ClickpipeError(message, code="fetch_failed")


def send(
    method: str,
    url: str,
    *,
    private: bool,
    seconds: float,
    headers: Mapping[str, str],
    body: Path | bytes = b"",
    explain: Callable[[bytes], str] = lambda _: "",
    check: Callable[[], None] = lambda: None,
) -> int:
    """Send a file or bytes to a URL, or nothing as for DELETE; return the status: 2xx, or 404 as its server knows why.

    Addresses are checked as in `fetch`, and nothing is followed; `check` is called about twice a second, and may raise.
    Raises ClickpipeError for any other status, if the
    server cannot be reached, or after `seconds`.
    """
    with _Deadline(seconds, check) as deadline:
        try:
            size = body.stat().st_size if isinstance(body, Path) else len(body)
            length = {"Content-Length": str(size)} if size or method == "PUT" else {}
            with body.open("rb") if isinstance(body, Path) else contextlib.nullcontext(body) as content:
                asked = _Asked(method, content, {**headers, **length})
                with _Response(url, deadline, asked, private=private) as response:
                    if response.status // 100 == _FINE or response.status == http.client.NOT_FOUND:
                        return response.status
                    reason = explain(response.read(_REASON)) if method != "HEAD" else ""
                    message = f"The URL answered with the status {response.status}{reason and ': '}{reason}."
                    raise ClickpipeError(message, code="fetch_failed")
        except (OSError, http.client.HTTPException) as error:
            deadline.require()
            reason = getattr(error, "strerror", None) or type(error).__name__
            message = f"The URL cannot be reached: {reason}."
            raise ClickpipeError(message, code="fetch_failed") from None
        except ValueError:
            raise ClickpipeError(_NO_URL, code="bad_url") from None


def ask(
    url: str,
    *,
    check: Check,
    headers: Mapping[str, str],
    body: bytes | None = None,
    ca: str = "",
    seconds: float = 30.0,
    limit: int = 16 << 20,
    explain: Callable[[bytes], str] = lambda _: "",
) -> bytes:
    """Return the answer to a GET, or to a POST of `body`; nothing is followed.

    `check` raises ClickpipeError for an address that must not be connected to; `ca` is PEM of authorities to trust in
    addition to the usual ones; `explain` may raise ClickpipeError, too. Raises ClickpipeError as `fetch` does.
    """
    found = bytearray()
    asked = _Asked("GET" if body is None else "POST", body, headers, check, ca)
    with _Deadline(seconds, lambda: None) as deadline:
        try:
            with _Response(url, deadline, asked, private=False) as response:
                if response.status != http.client.OK:
                    reason = explain(response.read(_REASON))
                    message = f"The URL answered with the status {response.status}{reason and ': '}{reason}."
                    raise ClickpipeError(message, code="fetch_failed")
                while block := response.read(_BLOCK):
                    found += block
                    if len(found) > limit:
                        raise ClickpipeError(f"The URL's answer is larger than {limit} bytes.", code="fetch_failed")
                deadline.require()
                return bytes(found)
        except (OSError, http.client.HTTPException) as error:
            deadline.require()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ClickpipeError(f"The URL cannot be reached: {reason}.", code="fetch_failed") from None
        except ValueError:
            raise ClickpipeError(_NO_URL, code="bad_url") from None


class _Asked(NamedTuple):
    """What is sent; to where, if other addresses than public ones are allowed; and whom to trust there, in PEM."""

    method: str
    body: IO[bytes] | bytes | None
    headers: Mapping[str, str]
    check: Check | None = None
    ca: str = ""


class _Deadline:
    """Closes the connection when the time is over, as a server may send headers byte by byte forever."""

    def __init__(self, seconds: float, check: Callable[[], None]) -> None:
        self._until = time.monotonic() + seconds
        self._check = check
        self._reason: BaseException | None = None
        self._socket: socket.socket | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def watch(self, wire: socket.socket) -> None:
        """Watch this connection from now on."""
        self._socket = wire
        self.require()

    def require(self) -> None:
        """Raise ClickpipeError 408 if the time is over, or what the check raised."""
        if self._reason is not None:
            raise self._reason
        if time.monotonic() >= self._until:
            message = "The URL is too slow: see the setting import_max_seconds."
            raise ClickpipeError(message, status=408, code="fetch_too_slow")

    def _watch(self) -> None:
        while (left := self._until - time.monotonic()) > 0 and not self._done.wait(min(left, _LOOK)):
            try:
                self._check()
            except BaseException as reason:  # noqa: BLE001 - raised in the thread that downloads
                self._reason = reason
                break
        while not self._done.is_set():  # the connection may be made only now, or be replaced
            self._end()
            self._done.wait(_LOOK)

    def _end(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # not TLS's own: that thread is reading

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()


class _Response:
    """One response of a server."""

    def __init__(self, url: str, deadline: _Deadline, asked: _Asked, *, private: bool) -> None:
        self._connection, path = _connect(url, deadline, asked, private=private)
        try:
            self._connection.request(asked.method, path, asked.body, {**_HEADERS, **asked.headers})
            self._response = self._connection.getresponse()
        except BaseException:
            self._connection.close()
            raise
        self.status = self._response.status

    def header(self, name: str) -> str:
        return self._response.getheader(name) or ""

    def read(self, size: int) -> bytes:
        """Return what has arrived, b"" at the end. Raises IncompleteRead if the server closes early."""
        block = self._response.read1(size)
        if not block and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


def _connect(url: str, deadline: _Deadline, asked: _Asked, *, private: bool) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "A URL to fetch starts with http:// or https://."
        raise ClickpipeError(message, code="bad_url")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        message = "The URL's port is not a number."
        raise ClickpipeError(message, code="bad_url") from None
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(item[4][0]) for item in found))
    if asked.check is not None:
        asked.check(parts.hostname, addresses)
    elif not private and not all(is_public(address) for address in addresses):
        raise ClickpipeError(_GLOBAL_ONLY, status=403, code="private_address")
    connection = http.client.HTTPConnection(parts.hostname, port, timeout=_TIMEOUT)
    connection.default_port = 443 if parts.scheme == "https" else 80  # not named in Host: a signature may cover it
    connection.sock = socket.create_connection((addresses[0], port), _TIMEOUT)
    try:
        deadline.watch(connection.sock)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            if asked.ca:
                context.load_verify_locations(cadata=asked.ca)
            secure = context.wrap_socket(connection.sock, server_hostname=parts.hostname, do_handshake_on_connect=False)
            connection.sock = secure
            deadline.watch(secure)
            secure.do_handshake()
    except BaseException:
        connection.close()
        raise
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return connection, quote(path, safe="%/:=&?~+!$,;'@()*[]")


def _save(response: _Response, into: Path, limit: int, progress: Callable[[int], None]) -> None:
    size = 0
    with into.open("wb") as file:
        while block := response.read(_BLOCK):
            size += len(block)
            if size > limit:
                message = f"The file is larger than {limit} bytes: see the setting import_max_bytes."
                raise ClickpipeError(message, status=413, code="file_too_large")
            file.write(block)
            progress(size)
