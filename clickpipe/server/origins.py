"""Which pages of other origins may read a response (CORS)."""

from __future__ import annotations

_EXPOSED = (
    b"X-Request-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    b"ETag, Age, X-Cache, Server-Timing, X-DB-Exception-Code, Content-Range, Accept-Ranges, "
    b"X-ClickHouse-Summary, X-ClickHouse-Query-Id, X-ClickHouse-Format, X-ClickHouse-Timezone, "
    b"X-ClickHouse-Exception-Code, X-ClickHouse-Exception-Tag, X-ClickHouse-Server-Display-Name"
)
NO_SNIFF = (b"x-content-type-options", b"nosniff")  # rows are untrusted: browsers must not render them as a page

Headers = list[tuple[bytes, bytes]]


class Origins:
    """The origins whose pages may read responses."""

    def __init__(self, listed: str = "") -> None:
        """Allow those that `listed` names, separated by commas; all of them if it has a `*`."""
        self._allowed = frozenset(origin.strip().encode() for origin in listed.split(",") if origin.strip())

    def headers(self, origin: bytes) -> Headers:
        """Return the headers of a response to a page of this origin (empty: to another program)."""
        if b"*" in self._allowed:
            return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", _EXPOSED)]
        found: Headers = [(b"vary", b"Origin")]
        if origin and origin in self._allowed:
            found += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", _EXPOSED)]
        return found
