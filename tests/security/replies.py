"""What is wrong with a reply: somebody else's canary, a name of the server's, a difference that others' rows make."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import httpx

from tests.security.canaries import disguised
from tests.security.ways import Asked
from tests.security.world import CANARIES, Kind, World

# Of one request, or of the names that a workspace's tables have.
_OWN_HEADERS = {"x-request-id", "server-timing", "x-clickhouse-query-id", "x-clickhouse-exception-tag"}
_OWN_HEADERS |= {"content-length", "content-range", "access-control-expose-headers", "age"}
_OWN_HEADERS |= {"content-encoding", "vary"}  # of how many digits a time is decides whether a short reply is compressed
_PASSING = re.compile(
    r'"elapsed(?:_ns)?":\s*"?[\d.e+-]+"?|<elapsed>[^<]*</elapsed>|\belapsed\b[^,}]*|[0-9a-f]{8}-[0-9a-f-]{27}|'
    r'"(?:created|updated)_at":"[\d :.-]+"|"t_[0-9a-f]{32}"|"token":"p\.[\w-]+"|'
    r'^{"id":"[0-9a-f]{16}"|"workspaces":\[{"id":"[0-9a-f]{16}"'
)
_BYTES = re.compile(r'"(?:bytes_read|read_bytes)":\s*"?(\d+)"?|<bytes_read>(?:\d+)</bytes_read>')
_OWN_NAMES = re.compile(r"_(?:table|database)\b", re.IGNORECASE)  # who may read all rows may know a table's name
_NUMBERED = re.compile(r"^\d+\. ")  # rows of Pretty
_COUNTS = re.compile(  # and that what is read is too much
    r'"(?:rows_read|read_rows|bytes_read|read_bytes)":\s*"?\d+"?|'
    r"(?:Code: \d+\. DB::Exception: |\[Error\] )[^\"\n]*\((?:TOO_MANY_ROWS|TOO_MANY_BYTES|MEMORY_LIMIT_EXCEEDED)\)"
)
_TOO_MUCH = re.compile(r"\(TOO_MANY_(?:ROWS|BYTES)\)")
_CHANGING = re.compile(r"\brand\(|\bnow\(", re.IGNORECASE)
_ENDLESS = re.compile(r"\b(?:generateRandom|loop|numbers|zeros)(?:_mt)?\(", re.IGNORECASE)
_TAG = re.compile(r"__exception__.*", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """A status, 0 for a result that was cut off on its way; the text and the headers."""

    status: int
    text: str
    headers: Mapping[str, str]
    size: int = 0

    @property
    def all(self) -> str:
        """Return all that was told."""
        return f"{self.text} {self.headers}"


async def send(client: httpx.AsyncClient, asked: Asked, token: str) -> Reply:
    """Send a request."""
    try:
        reply = await client.request(asked.method, asked.path, content=asked.body, headers=asked.headers_with(token))
    except AssertionError:  # how httpx tells of a response that was not ended
        return Reply(0, "", {})
    return Reply(reply.status_code, reply.text, dict(reply.headers), len(reply.content))


@cache
def _others(sees: frozenset[str]) -> dict[str, str]:
    """Return the forms of canaries that one may not see, and what they are of."""
    return {form: name for name, canary in CANARIES.items() if name not in sees for form in disguised(canary)}


def wrong(world: World, kind: Kind, asked: Asked, reply: Reply) -> list[str]:
    """Return what is told that may not be."""
    told = reply.all
    found = [f"tells {name}: {form}" for form, name in _others(kind.sees).items() if form in told]
    if not (not kind.alike and _OWN_NAMES.search(asked.said)):
        found += [f"names {name}" for name in sorted({*world.hidden.findall(told)}) if name not in asked.said]
    if reply.status >= 500 and reply.status != 503:
        found.append(f"status {reply.status}")
    return found


def differs(kind: Kind, asked: Asked, reply: Reply, twin: Reply) -> list[str]:
    """Return how a reply is another than where others have no rows."""
    if kind.is_filtered and not {"age", "x-cache"}.isdisjoint(reply.headers):
        return ["tells whether a result was kept"]
    if _CHANGING.search(asked.said):
        return []
    if _ENDLESS.search(asked.said) and any("TIMEOUT_EXCEEDED" in r.text for r in (reply, twin)):
        return []  # what it was ended by, and at what, hangs on how busy the machine is
    if not kind.is_limited and any(_TOO_MUCH.search(r.text) for r in (reply, twin)):
        return []  # of a limit of its own: it is told how much is read
    counts = re.compile("") if kind.is_limited else _COUNTS
    one, other = (_compared(r, counts) for r in (reply, replace(twin, text=twin.text.replace("twins", "walls"))))
    return [] if one == other else [f"differs where others have no rows: {_difference(one, other)}"]


def _compared(reply: Reply, counts: re.Pattern[str]) -> tuple[str, ...]:
    """Return what a caller is told, in any order, without times and `counts`."""

    def shown(text: str) -> str:
        return counts.sub("", _passing(text, reply.size))

    headers = (
        f"{name}: {shown(value) if name not in {'etag', 'x-cache'} else ''}"
        for name, value in reply.headers.items()
        if name not in _OWN_HEADERS
    )
    lines = (_NUMBERED.sub("", line.strip()).rstrip(",") for line in shown(reply.text).splitlines())
    return (str(reply.status), *sorted(headers), *sorted(lines))


def _passing(text: str, size: int) -> str:
    """Return a text without times; the bytes of the reply itself hang on how many digits these have."""
    text = _BYTES.sub(lambda m: m[0] if m[1] != str(size) else "", text)
    return _TAG.sub("", _PASSING.sub("", text))


def _difference(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    return json.dumps([sorted({*one} - {*other})[:5], sorted({*other} - {*one})[:5]], ensure_ascii=False)[:800]
