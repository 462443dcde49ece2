"""What every route needs of a request: the instance, the token, the workspace, the parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from clickpipe.auth import require
from clickpipe.catalog import Token
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token and the workspace it belongs to."""

    token: Token
    workspace: Workspace

    def require(self, scope: str, resource: str = "") -> None:
        """Raise 403 unless the token has the scope."""
        require(self.token, scope, resource)

    def may_read(self, kind: str, name: str) -> None:
        """Raise 403 unless the token may read a `DATASOURCES`, `PIPES` or `SERVICE` (data source) of this name."""
        if kind == "SERVICE":
            self.require("WORKSPACE:READ_ALL")
        else:
            self.require(f"{kind}:READ", name)


def instance_of(request: Request) -> Instance:
    """Return the running instance."""
    found: Instance = request.app.state.instance
    return found


def caller(request: Request) -> Caller:
    """Return who asks. Raises 403 for a missing or unknown token."""
    header = request.headers.get("authorization", "")
    scheme, _, value = header.partition(" ")
    given = value.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")
    instance = instance_of(request)
    token = instance.tokens.find(given)
    return Caller(token, instance.workspace(token.workspace_id))


def flag(request: Request, name: str) -> bool:
    """Return a yes/no query parameter."""
    return request.query_params.get(name, "").lower() in {"1", "true", "yes"}


async def read_body(request: Request, limit: int, count: Callable[[int], None] = lambda _: None) -> bytes:
    """Return the request's body; `count` is told of its bytes. Raises 413 when it is longer than `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            message = f"The body is larger than {limit} bytes. Send less at once, or raise max_body_bytes."
            raise ClickpipeError(message, status=413, code="body_too_large")
        count(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)
