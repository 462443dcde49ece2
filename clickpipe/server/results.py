"""Query results as responses: whole, or part by part."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clickpipe.concurrency import in_thread
from clickpipe.engine import EngineError, Parts, QueryResult

_LOGGER = logging.getLogger(__name__)
_AHEAD = 4 << 20  # bytes held for a client besides those on their way to it: parts that wait (`engine/stream.py`)


def _as_it_is(data: bytes) -> bytes:
    return data


def body_response(
    result: QueryResult,
    content_type: str,
    headers: Mapping[str, str],
    encode: Callable[[bytes], bytes] = _as_it_is,
    ending: Callable[[EngineError], bytes] | None = None,
) -> Response:
    """Return a result: whole, or part by part, no faster than the client reads it; `encode` is applied to each part.

    `ending` returns what to send for an error after the first part, before the connection is closed.
    """
    if result.more is None:
        return Response(encode(result.body), media_type=content_type, headers=headers)
    return _InParts(result.body, result.more, encode, ending, Response(media_type=content_type, headers=headers))


class _InParts(Response):
    """A result part by part. An error closes the connection, so that the client notices the missing rest."""

    def __init__(
        self,
        first: bytes,
        more: Parts,
        encode: Callable[[bytes], bytes],
        ending: Callable[[EngineError], bytes] | None,
        head: Response,
    ) -> None:
        super().__init__(media_type=head.media_type, headers=dict(head.headers))
        self._first, self._more, self._encode, self._ending = first, more, encode, ending
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["ahead"] = _AHEAD
        pouring, leaving = asyncio.create_task(self._pour(send)), asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({pouring, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not pouring.done():  # the client is gone, which uvicorn's send does not report
                self._more.close()
                pouring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pouring
        finally:
            leaving.cancel()
            self._more.close()

    async def _pour(self, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            part: bytes | None = self._first
            self._first = b""
            while part is not None:
                await send({"type": "http.response.body", "body": self._encode(part), "more_body": True})
                part = await in_thread(self._more.take)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except EngineError as error:
            _LOGGER.warning("a result was truncated: %s", error.name or error.code)
            if self._ending is not None:
                ending = self._encode(self._ending(error))
                await send({"type": "http.response.body", "body": ending, "more_body": True})
        except OSError:
            pass  # the client is gone


async def _gone(receive: Receive) -> None:
    """Return when the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
