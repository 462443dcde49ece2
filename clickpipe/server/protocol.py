"""HTTP as parsed by uvicorn, with JSON errors for malformed requests, and limits on what comes before the body."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clickpipe.diagnostics.errors import DOCS
from clickpipe.server.memory import ConnectionMemory
from clickpipe.server.origins import NO_SNIFF, Origins

MAX_URL = 65_535  # bytes: the URL parser's own limit
MAX_HEADERS = 262_144  # bytes of all headers of a request
_REASONS = {400: "Bad Request", 414: "URI Too Long", 431: "Request Header Fields Too Large"}


class TooLong(ValueError):
    """The URL or the headers are too long."""


class JsonErrors(HttpToolsProtocol):
    """One connection."""

    _header_bytes = 0
    _head_bytes = 0  # received so far for a request with incomplete headers, even of a single endless header
    _reads_head = True
    _timer: asyncio.TimerHandle | None = None
    _body_bytes = 0  # of the request's body, as far as they are in memory
    _is_ended = False
    head_seconds = 30.0  # time for all headers of a request to arrive
    memory = ConnectionMemory(0)
    origins = Origins()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start a connection."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection."""
        self._stop_waiting()
        self.memory.forget(self)
        super().connection_lost(exc)

    # What it holds in memory (`memory.Holder`)

    @property
    def owner(self) -> str:
        """Return the workspace of the request's token; '' before the token was checked."""
        return str(self._state().get("owner", ""))

    @property
    def held(self) -> int:
        """Return the bytes of the body, and those of the response that the client has not taken yet."""
        if self._is_ended or self.transport is None:
            return 0
        waits = self.flow.write_paused
        unsent = self.transport.get_write_buffer_size() + int(self._state().get("ahead", 0)) if waits else 0
        return self._body_bytes + unsent

    def end(self) -> None:
        """Close the connection without sending the rest, soon: this may be called while the transport writes."""
        self._is_ended = True
        self.loop.call_soon(self.transport.abort)

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = (getattr(self, "scope", None) or {}).get("state", {})
        return found

    def hold(self, size: int) -> None:
        """Count bytes of the request's body that stay in memory until the response is complete."""
        self._body_bytes += size
        self.memory.look(self)

    def pause_writing(self) -> None:
        """Wait until the client has taken more."""
        super().pause_writing()
        self.memory.look(self)

    def resume_writing(self) -> None:
        """Go on sending."""
        super().resume_writing()
        self.memory.look(self)

    def on_response_complete(self) -> None:
        """End a request."""
        self._body_bytes = 0
        self.memory.look(self)
        super().on_response_complete()

    def _await_head(self) -> None:
        self._stop_waiting()
        if self.head_seconds:
            self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Process received data."""
        if self._reads_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._reads_head and self._head_bytes > MAX_URL + 2 * MAX_HEADERS and not self.transport.is_closing():
            self._header_bytes = self._head_bytes
            self.send_400_response("")
        elif self._timer is None and (self._reads_head or self._is_idle()):
            self._await_head()

    def _is_idle(self) -> bool:
        cycle = getattr(self, "cycle", None)
        return cycle is None or cycle.response_complete

    def on_message_begin(self) -> None:
        """Start a request."""
        self._header_bytes = self._head_bytes = 0
        self._reads_head = True  # the clock runs only if the headers do not arrive in one read
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Continue with the body."""
        self._reads_head = False
        if self._timer is not None:
            self._stop_waiting()
        self.scope["state"]["hold"] = self.hold
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End the body: if it is complete before it is read, no timeout is needed."""
        super().on_message_complete()
        self.scope["state"]["whole"] = True

    def on_url(self, url: bytes) -> None:
        """Handle part of the URL. Raises TooLong."""
        super().on_url(url)
        if len(self.url) > MAX_URL:
            raise TooLong

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header. Raises TooLong."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADERS:
            raise TooLong
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own text
        """Respond to a malformed request, and close the connection."""
        status, message = 400, "This is not a valid HTTP/1.1 request."
        if len(getattr(self, "url", b"")) > MAX_URL:
            status = 414
            message = f"The URL is longer than {MAX_URL} bytes: send the parameters in the body of a POST."
        elif self._header_bytes > MAX_HEADERS:
            status, message = 431, f"The headers are longer than {MAX_HEADERS} bytes."
        body = json.dumps({"error": message, "documentation": f"{DOCS}http-api.md"}).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n"
        ).encode()
        origin = dict(reversed(getattr(self, "headers", []))).get(b"origin", b"")  # of those read so far
        more = b"".join(b"%s: %s\r\n" % header for header in [*self.origins.headers(origin), NO_SNIFF])
        self.transport.write(head + more + b"\r\n" + body)
        self.transport.close()
