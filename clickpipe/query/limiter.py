"""Limits running and queued queries, and ends queries that nobody waits for any more.

Workspaces take turns: however many queries one has queued, another workspace's query comes next. A workspace with
nothing running need not wait for others' slow queries: its first query starts above the limit. Stuck queries (killed,
but still running) count as running, but one more may always run: until a workspace has twice as many stuck ones as may
run. A token whose own SQL is stuck gets no more of its own SQL. All queries together have a limit of memory
(`memory_watch.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from clickpipe.concurrency import result_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, QueryResult, Settings, tagged, working_for
from clickpipe.query.memory_watch import MemoryWatch
from clickpipe.query.rest import Rest, close_unread

WHOLE = 1 << 20  # bytes above which a result is streamed, if its format allows
_STUCK = "Too many queries go on though they were ended: more are taken when ClickHouse has ended one."
_OWN = "A query of this token goes on though it was ended: more of its SQL is taken when ClickHouse has ended that one."
_LOOK = 0.1  # seconds between looks at the memory of queries, and from when on a query is looked at
_BESIDE = 16  # extra queries above the limit, one for each workspace with nothing else running


@dataclass(frozen=True, slots=True)
class Running:
    """A running or queued query, and a function to cancel it.

    Its future then raises EngineError (QUERY_WAS_CANCELLED), or is cancelled if the query had not begun.
    """

    future: Future[QueryResult]
    cancel: Callable[[], None]


@dataclass(slots=True)
class _Query:
    sql: str
    params: Mapping[str, Any]
    output: str
    settings: Settings
    whose: Hashable = ""
    caller: Hashable = None
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    future: Future[QueryResult] = field(default_factory=Future)
    asked: float = field(default_factory=time.perf_counter)
    started: float = 0.0
    is_too_large: bool = False


class ConcurrencyLimiter:
    """Limits how many callers' queries run and how many are queued. Methods are thread-safe and do not block."""

    def __init__(self, engine: Engine, at_once: int, waiting: int, max_memory_bytes: int = 0) -> None:
        """Run `at_once` queries; queue up to `waiting` more of each workspace.

        `max_memory_bytes` is what all running queries may use together; 0: no limit.
        """
        self._engine = engine
        self._at_once = at_once
        self._most = waiting
        self._lock = threading.Lock()
        self._running: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[_Query]] = OrderedDict()  # in order of turns
        self._memory = MemoryWatch(max_memory_bytes) if max_memory_bytes else None
        self._started: dict[str, _Query] = {}  # by tag
        self._past: dict[str, Hashable] = {}  # whose queries have ended, as far as we know: some may be stuck
        self._is_watched = False

    @property
    def running(self) -> int:
        """Return how many queries run."""
        with self._lock:
            return self._running.total()

    @property
    def waiting(self) -> int:
        """Return how many queries are queued."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def submit(
        self,
        sql: str,
        params: Mapping[str, Any],
        output: str,
        settings: Settings,
        whose: Hashable = "",
        caller: Hashable = None,
    ) -> Running:
        """Run a query when its turn comes.

        `whose` is the workspace whose queue it joins, `caller` the token if it is its own SQL. Raises ClickpipeError
        429 if the queue is full, too many of the workspace's queries are stuck, or one of the token's.
        """
        query = _Query(sql, params, output, settings, whose, caller)
        with self._lock:
            if why := self._why_not(query):
                raise ClickpipeError(why, status=429, code="too_many_queries")
            if self._may_run(whose):
                self._running[whose] += 1
            elif len(self._waiting.get(whose, ())) < self._most:
                self._waiting.setdefault(whose, deque()).append(query)
                return Running(query.future, lambda: self._cancel(query))
            else:
                message = f"{self._running.total()} queries run and {self._most} wait. Please ask again in a moment."
                raise ClickpipeError(message, status=429, code="too_many_queries")
        self._start(query)
        return Running(query.future, lambda: self._cancel(query))

    async def run(
        self,
        sql: str,
        params: Mapping[str, Any],
        output: str,
        settings: Settings,
        whose: Hashable = "",
        caller: Hashable = None,
    ) -> QueryResult:
        """Run a query when its turn comes and return its result; see `submit`. Cancelling this ends the query.

        Raises ClickpipeError 429 and EngineError.
        """
        running = self.submit(sql, params, output, settings, whose, caller)
        try:
            return await result_of(running.future)
        except asyncio.CancelledError:
            running.cancel()
            running.future.add_done_callback(close_unread)
            raise

    def _may_run(self, whose: Hashable) -> bool:
        """Return whether one more query may run (the caller holds the lock)."""
        stuck = self._stuck(whose)
        if stuck and self._running[whose] >= max(1, self._at_once - stuck):
            return False
        running = self._running.total()
        return running < self._at_once or (not self._running[whose] and running < self._at_once + _BESIDE)

    def _why_not(self, query: _Query) -> str:
        """Return why a query may not run at all now, or ''."""
        if self._stuck(query.whose) >= 2 * self._at_once:
            return _STUCK
        return _OWN if query.caller is not None and query.caller in self._engine.stuck_callers() else ""

    def _stuck(self, whose: Hashable) -> int:
        return self._engine.stuck_of().get(str(whose), 0)

    def _start(self, query: _Query) -> None:
        """Start a query that is counted in `_running`; when it ends, the next one starts."""
        if not query.future.set_running_or_notify_cancel():
            self._next(query.whose)
            return
        query.started = time.perf_counter()
        self._watch(query)
        settings = {**query.settings, **tagged(query.tag)}
        try:
            with working_for("", asked_by=str(query.whose), caller=query.caller):  # limited here, not by the engine
                running = self._engine.stream(
                    query.sql, query.params, output=query.output, settings=settings, whole=WHOLE
                )
        except BaseException as error:
            self._leave(query)
            query.future.set_exception(error)
            raise
        running.add_done_callback(lambda done: self._ended(query, done))

    def _ended(self, query: _Query, done: Future[QueryResult]) -> None:
        goes_on = None if done.cancelled() or done.exception() else done.result().ended
        if goes_on is None:
            self._leave(query)
        else:
            goes_on.add_done_callback(lambda _: self._leave(query))
        if done.cancelled():
            query.future.set_exception(RuntimeError("the engine was closed"))
        elif (error := done.exception()) is not None:
            query.future.set_exception(self._too_large() if query.is_too_large else error)
        else:
            found = done.result()
            more = Rest(found.more, lambda: self._engine.cancel(query.tag)) if found.more is not None else None
            query.future.set_result(replace(found, queued=query.started - query.asked, more=more))

    def _watch(self, query: _Query) -> None:
        """Have a thread look at how much memory queries use, for as long as any run."""
        if self._memory is None:
            return
        with self._lock:
            self._started[query.tag] = query
            if self._is_watched:
                return
            self._is_watched = True
        threading.Thread(target=self._look, name="query-memory", daemon=True).start()

    def _leave(self, query: _Query) -> None:
        """Note that a query has ended; the next ones start."""
        with self._lock:
            was_seen = time.perf_counter() - query.started > _LOOK
            if self._started.pop(query.tag, None) is not None and was_seen:
                self._past[query.tag] = query.whose
        self._next(query.whose)

    def _look(self) -> None:
        assert self._memory is not None  # noqa: S101 - nothing is watched without
        while True:
            time.sleep(_LOOK)
            with self._lock:
                if not self._started:
                    self._is_watched = False
                    return
                before = time.perf_counter() - _LOOK
                running = {tag: query.whose for tag, query in self._started.items() if query.started < before}
                past = dict(self._past)
            if not (running or past):
                continue
            try:
                used = self._engine.memory()
            except (EngineError, RuntimeError):  # closed, or without memory itself
                continue
            for tag in self._memory.excess(used, {**past, **running}, running):
                if (query := self._started.get(tag)) is not None:
                    query.is_too_large = True
                    self._engine.cancel(tag)
            with self._lock:
                for tag in past.keys() - used.keys():
                    del self._past[tag]

    def _too_large(self) -> EngineError:
        most = self._memory.most if self._memory else 0
        text = f"Queries together may use {most} bytes of memory, and this one used most: ask for less, or later"
        return EngineError(f"Code: 241. DB::Exception: {text}. (MEMORY_LIMIT_EXCEEDED)")

    def _next(self, ended: Hashable) -> None:
        with self._lock:
            self._running[ended] -= 1
            if not self._running[ended]:
                del self._running[ended]
            refused: list[tuple[_Query, str]] = []
            starting: list[_Query] = []
            for query in [one for own in self._waiting.values() for one in own] if self._engine.stuck_of() else ():
                if why := self._why_not(query):
                    refused.append((query, why))
                    self._forget(query)
            while (whose := next(filter(self._may_run, self._waiting), None)) is not None:
                self._running[whose] += 1
                own = self._waiting.pop(whose)
                starting.append(own.popleft())
                if own:
                    self._waiting[whose] = own  # to the end of the line
        for query, why in refused:
            if query.future.set_running_or_notify_cancel():
                query.future.set_exception(
                    EngineError(f"Code: 202. DB::Exception: {why} (TOO_MANY_SIMULTANEOUS_QUERIES)")
                )
        for query in starting:
            self._start(query)

    def _forget(self, query: _Query) -> None:
        """Remove a query from those that wait (the caller holds the lock)."""
        own = self._waiting[query.whose]
        own.remove(query)
        if not own:
            del self._waiting[query.whose]

    def _cancel(self, query: _Query) -> None:
        if query.future.cancel():
            with self._lock, contextlib.suppress(KeyError, ValueError):
                self._forget(query)
        elif not query.future.done():
            self._engine.cancel(query.tag)
