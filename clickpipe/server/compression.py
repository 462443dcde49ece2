"""Compresses responses as the client accepts (`Accept-Encoding`): zstd, gzip, lz4; streams part by part."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clickpipe.concurrency import in_thread, remembered

_LONGEST = 1_000  # bytes of an `Accept-Encoding` to read
_LARGE = 100_000  # bytes above which compression runs outside the event loop
_TEXT = ("application/geo+json", "application/json", "application/x-ndjson", "application/xml", "text/")
_PACKS_WELL = (
    *_TEXT,
    "application/octet-stream",
    "application/vnd.msgpack",
)  # others are already compressed


class _Encoder(Protocol):
    """Compresses a body part by part: each part can be read before the next one is available."""

    def part(self, data: bytes) -> bytes:
        """Return a compressed part."""
        ...

    def end(self) -> bytes:
        """Return the end of the body."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._object = zlib.compressobj(4, zlib.DEFLATED, 31)

    def part(self, data: bytes) -> bytes:
        return self._object.compress(data) + self._object.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._object.flush()


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._object = zstandard.ZstdCompressor(level=3).compressobj()
        self._block, self._finish = zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH

    def part(self, data: bytes) -> bytes:
        return self._object.compress(data) + self._object.flush(self._block)

    def end(self) -> bytes:
        return self._object.flush(self._finish)


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self._object = lz4.frame.LZ4FrameCompressor(auto_flush=True)
        self._head = self._object.begin()

    def part(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return bytes(head + self._object.compress(data))

    def end(self) -> bytes:
        return bytes(self._head + self._object.flush())


# In order of preference if a client accepts them equally.
_ENCODERS: Mapping[str, Callable[[], _Encoder]] = {"zstd": _Zstd, "gzip": _Gzip, "lz4": _Lz4}


@remembered(20_000)  # clients send only a few different ones
def accepted(header: str) -> str:
    """Return the encoding for an `Accept-Encoding` header; '' for none."""
    weights: dict[str, float] = {}
    for one in header.lower().split(","):
        name, _, weight = one.partition(";")
        weights[name.strip()] = _weight(weight)
    rest = weights.get("*", 0.0)
    found = {
        name: weights.get("x-gzip" if name == "gzip" and name not in weights else name, rest) for name in _ENCODERS
    }
    found["lz4"] = weights.get("lz4", 0.0)  # not a registered name: only if listed explicitly
    best = max(found, key=lambda name: found[name])
    return best if found[best] > 0 else ""


def _weight(text: str) -> float:
    name, _, value = text.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


class Compression:
    """ASGI middleware: compresses bodies of at least `least` bytes; 0 turns it off."""

    def __init__(self, app: ASGIApp, least: int) -> None:
        """Wrap the application."""
        self._app = app
        self._least = least

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not self._least:
            await self._app(scope, receive, send)
            return
        wanted = scope["state"]["given"].get(b"accept-encoding", b"")
        name = accepted(wanted[:_LONGEST].decode("latin-1")) if wanted and scope["method"] != "HEAD" else ""
        if name:
            await self._app(scope, receive, _Sender(send, name, self._least, scope["state"]["headers"]).send)
            return

        async def as_it_is(message: Message) -> None:
            if message["type"] == "http.response.start" and _may_pack(message, self._least):
                MutableHeaders(raw=message["headers"]).add_vary_header("Accept-Encoding")
            await send(message)

        await self._app(scope, receive, as_it_is)


class _Sender:
    """Sends one response compressed."""

    def __init__(self, send: Send, name: str, least: int, headers: dict[str, str]) -> None:
        self._send, self._name, self._least, self._headers = send, name, least, headers
        self._start: Message | None = None
        self._encoder: _Encoder | None = None

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and _may_pack(message, self._least):
            self._start = message  # held back until the length of the compressed body is known
            return
        if self._start is not None and kind == "http.response.body":
            start, self._start = self._start, None
            await self._begin(start, message)
            return
        if self._encoder is not None:
            message = {**message, "body": await self._part(message)}
        await self._send(message)

    async def _begin(self, start: Message, message: Message) -> None:
        more = message.get("more_body", False)
        if not more and len(message.get("body", b"")) < self._least:
            await self._send(start)
            await self._send(message)
            return
        headers = MutableHeaders(raw=start["headers"])
        headers.add_vary_header("Accept-Encoding")
        self._encoder = _ENCODERS[self._name]()
        began = time.perf_counter()
        body = await self._part(message)
        headers["content-encoding"] = self._name
        del headers["accept-ranges"]
        if more:
            del headers["content-length"]
        else:
            headers["content-length"] = str(len(body))
            self._add_timing(time.perf_counter() - began)
        if (etag := headers.get("etag", "")).startswith('"'):
            headers["etag"] = f"W/{etag}"  # other bytes with the same meaning
        await self._send(start)
        await self._send({**message, "body": body})

    def _add_timing(self, seconds: float) -> None:
        if "Server-Timing" in self._headers:
            self._headers["Server-Timing"] += f", compress;dur={seconds * 1000:.2f}"

    async def _part(self, message: Message) -> bytes:
        data = message.get("body", b"")
        if len(data) < _LARGE:
            return self._encoded(data, end=not message.get("more_body", False))
        return await in_thread(self._encoded, data, end=not message.get("more_body", False))

    def _encoded(self, data: bytes, *, end: bool) -> bytes:
        assert self._encoder is not None  # noqa: S101 - only called for compressed responses
        body = self._encoder.part(data) if data else b""
        return body + self._encoder.end() if end else body


def _may_pack(start: Message, least: int) -> bool:
    """Return whether a response may be compressed; `Content-Encoding: identity` forbids it, and is removed."""
    kind = own = length = b""
    for name, value in start["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            own = value
        elif name == b"content-length":
            length = value
    if own == b"identity":
        del MutableHeaders(raw=start["headers"])["content-encoding"]
    if start["status"] in {204, 206, 304} or own or (length and int(length) < least):
        return False
    return kind.decode("latin-1").startswith(_PACKS_WELL)
