"""The result cache, and single flight: identical concurrent queries run once.

A result is valid until one of its tables, or a source of a view that fills them, is written to. The cache key is the
SQL, its parameters and settings, and the versions of those tables (`engine/versions.py`) from before the query began.
Merges and TTLs change tables whenever ClickHouse likes, so results from such tables are kept for a minute only.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.engine import QueryResult
from clickpipe.project import DataSource
from clickpipe.query.answer import ENTRY, Answer, Kept
from clickpipe.query.bounded import weight
from clickpipe.query.rest import close
from clickpipe.query.shares import Shares
from clickpipe.sql import Reads

_OWN_TIME = 60.0  # seconds
_FOREVER = float("inf")
_SALT = secrets.token_bytes(16)
_NOTHING = QueryResult(b"", 0, 0, 0.0)
_Place = tuple[asyncio.AbstractEventLoop, Hashable]  # where a query runs: callers on one loop share it
_SHARE = 8  # a result may take at most this fraction (one in 8) of the cache


@dataclass(slots=True)
class _SingleFlight:
    """A running query and how many callers wait for it; `claimed` if a streamed result has been given to one."""

    task: asyncio.Task[Kept]
    waiting: int = 0
    claimed: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a checked SQL text: the tables it depends on, seconds to cache it, whether to share it."""

    tables: tuple[str, ...] = ()
    keep: float = 0.0
    shared: bool = False


def facts_of(live: Live, found: Reads) -> Facts:
    """Return whether and how long the result of a SELECT over a workspace's tables can be cached."""
    names = {table.replace("`", ""): name for name, table in live.physical.tables.items()}
    if not found.timely or not found.tables <= names.keys():
        return Facts()
    read = {names[table] for table in found.tables}
    above: dict[str, set[str]] = {}
    for view in live.compiled.views.values():
        above.setdefault(view.target, set()).add(view.source)
    every = set(read)
    waiting = list(read)
    while waiting:
        for source in above.get(waiting.pop(), set()) - every:
            every.add(source)
            waiting.append(source)
    physical = (live.physical.tables[name].replace("`", "") for name in sorted(every) if name in live.physical.tables)
    sources = (live.compiled.data_sources.get(name) for name in read)
    keep = _OWN_TIME if any(source is None or _changes_itself(source) for source in sources) else _FOREVER
    return Facts(tuple(physical), keep if found.deterministic else 0.0, shared=True)


def _changes_itself(source: DataSource) -> bool:
    return source.engine.name.text.strip().removesuffix("()") != "MergeTree" or bool(source.engine.option("TTL"))


class ResultCache:
    """The result cache of all workspaces. Identical concurrent queries run once."""

    def __init__(self, max_bytes: int) -> None:
        """Cache up to `max_bytes` of results; 0 turns caching and sharing off."""
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept = Shares(max_bytes)
        self._flights: dict[_Place, _SingleFlight] = {}
        self.hits = self.misses = self.joined = 0

    @property
    def size(self) -> int:
        """Return how many bytes are cached."""
        return self._kept.size

    @property
    def active(self) -> bool:
        """Return whether caching and sharing are on."""
        return self._max_bytes > 0

    async def answer(
        self,
        key: Hashable,
        keep: float,
        known: str,
        run: Callable[[], Coroutine[Any, Any, QueryResult]],
        rendered: float = 0.0,
        whose: Hashable = "",
    ) -> Answer:
        """Return a cached result, or join an identical running query, or call `run`. Raises what `run` raises.

        The result of `run` is cached for `keep` seconds, in the share of the workspace `whose`. `known` is the
        caller's If-None-Match header, `rendered` is passed on. The query is cancelled when the last caller that waits
        for it is.
        """
        with self._lock:
            found = self._kept.find(whose, key)
            if found is not None and (age := time.monotonic() - found.at) < found.keep:
                self.hits += 1
                return _answer(found.result, found.etag, known, "HIT", rendered, age)
        if known and keep == _FOREVER and _etag(key) in known:
            return _answer(_NOTHING, _etag(key), known, "HIT", rendered)
        flight, joined = self._join(key, keep, whose, run)
        try:
            kept = await asyncio.shield(flight.task)
            if kept.result.more is not None and flight.claimed:
                return Answer(await run(), rendered=rendered)  # a streamed result is for one caller
            flight.claimed = True
        finally:
            self._leave(key, flight)
        return _answer(kept.result, kept.etag, known, "SHARED" if joined else "MISS" if keep else "", rendered)

    def _join(
        self, key: Hashable, keep: float, whose: Hashable, run: Callable[[], Coroutine[Any, Any, QueryResult]]
    ) -> tuple[_SingleFlight, bool]:
        """Return the running query of this key on this event loop, started if there is none; and whether there was."""
        place = (asyncio.get_running_loop(), key)
        flight = self._flights.get(place)
        joined = flight is not None
        if flight is None:
            flight = self._flights[place] = _SingleFlight(asyncio.create_task(self._fly(place, keep, whose, run)))
            flight.task.add_done_callback(_seen)
        with self._lock:
            self.misses, self.joined = self.misses + (not joined), self.joined + joined
        flight.waiting += 1
        return flight, joined

    def _leave(self, key: Hashable, flight: _SingleFlight) -> None:
        """Cancel a query when the last caller waiting for it has left, and close a result that nobody took."""
        flight.waiting -= 1
        if flight.waiting:
            return
        if not flight.task.done():
            self._land((asyncio.get_running_loop(), key), flight.task)  # later callers start a new query
            flight.task.cancel()
        elif not flight.claimed and not flight.task.cancelled() and flight.task.exception() is None:
            close(flight.task.result().result)

    def _land(self, place: _Place, task: asyncio.Task[Kept]) -> None:
        flight = self._flights.get(place)
        if flight is not None and flight.task is task:
            del self._flights[place]

    async def _fly(
        self, place: _Place, keep: float, whose: Hashable, run: Callable[[], Coroutine[Any, Any, QueryResult]]
    ) -> Kept:
        """Run a query and cache its result, unless it is streamed."""
        task, key = asyncio.current_task(), place[1]
        try:
            result = await run()
        finally:
            if task is not None:
                self._land(place, task)
        etag = "" if not keep or result.more else _etag(key if keep == _FOREVER else result.body)
        kept = Kept(result, etag, time.monotonic(), keep, len(result.body) + weight(key) + ENTRY)
        if keep and result.more is None and kept.size * _SHARE <= self._max_bytes:
            with self._lock:
                self._kept.put(whose, key, kept)
        return kept


def frozen(value: Any) -> Hashable:
    """Return parameters or settings as a hashable key."""
    if isinstance(value, str):
        return value
    if value.__class__ is dict or isinstance(value, Mapping):  # isinstance alone would be slow
        return tuple([(name, frozen(value[name])) for name in sorted(value)])
    if isinstance(value, list | tuple):
        return ("list", *map(frozen, value))
    return (type(value).__name__, value)


def _etag(what: Hashable) -> str:
    """Return an ETag that reveals no parameters and changes with each restart, as versions start over then."""
    data = what if isinstance(what, bytes) else repr(what).encode()
    return f'W/"{hashlib.blake2b(data, digest_size=16, key=_SALT).hexdigest()}"'


def _answer(result: QueryResult, etag: str, known: str, source: str, rendered: float, age: float = 0.0) -> Answer:
    unmodified = bool(etag) and etag in known
    return Answer(_NOTHING if unmodified else result, etag, age, source, unmodified, rendered)


def _seen(task: asyncio.Task[Kept]) -> None:
    """Look at a task's error: whoever waited may have left."""
    if not task.cancelled():
        task.exception()
