"""Runs statements on threads, and replaces a thread whose statement cannot be stopped.

ClickHouse checks the clock between blocks of rows. A function that takes minutes for one row (`editDistance` of long
texts, nested lambdas) ignores time limits and KILL QUERY, and a thread cannot be killed. So the caller gets a timeout
error, and a new thread replaces the stuck one.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from clickpipe.engine.interrupt import interrupted, interruption
from clickpipe.engine.owner import asker, caller, owner
from clickpipe.engine.protocol import EngineError, Settings

_LOGGER = logging.getLogger(__name__)
_LOOK = 0.25  # seconds between checks of running statements
_AGAIN, _MOMENT = 0.05, 5.0  # seconds: between checks for an interruption; for a killed statement to end
_CANCELLED = "Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)"
_TOO_LATE = "Code: 159. DB::Exception: Timeout exceeded: it was ended after {:g} s. (TIMEOUT_EXCEEDED)"
_LATE = 2.0  # seconds after a statement's own time limit
_QUICK, _QUICK_SECONDS = ("CREATE", "DESCRIBE", "DROP", "EXPLAIN", "SELECT parseQueryToJSON"), 60.0  # read no rows
_Result = TypeVar("_Result")


@dataclass(slots=True, eq=False)
class Task:
    """One statement. After `seconds` it is killed, and `grace` seconds later given up.

    Its clock runs while `since` is set.
    """

    future: Future[Any]
    run: Callable[[], Any]
    kill: Callable[[], None]
    seconds: float = 0.0
    since: float = 0.0
    killed: bool = False
    given_up: float = 0.0  # when, on the monotonic clock
    thread: threading.Thread | None = None
    owner: str = ""
    asker: str = ""
    caller: Hashable = None

    def rest(self) -> None:
        """Stop the clock: the statement waits for somebody else."""
        self.since = 0.0

    def go_on(self) -> None:
        """Start the clock again."""
        self.since = time.monotonic()


class Workers:
    """A pool of threads that grows while none is free. Methods may be called from any thread.

    An owner may take at most as many threads as it leaves free; its other statements wait. If it has as many stuck
    statements (killed, but still running) as there are threads, all its other statements wait.
    """

    def __init__(
        self, count: int, name: str, grace: float = 3.0, *, most: int = 0, changed: Callable[[], object] = lambda: None
    ) -> None:
        """Start up to `count` threads as needed, and up to `most` if statements would have to wait for one.

        A killed statement has `grace` seconds to end, then it is given up. `changed` is called when a statement was
        given up, and when such a one has ended.
        """
        self._changed = changed
        self._count = count
        self._most = max(count, most)
        self._unfinished = 0
        self._name = name
        self._grace = grace
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running: set[Task] = set()
        self._of: Counter[str] = Counter()  # unfinished statements by owner
        self._given_up: Counter[str] = Counter()  # stuck statements by who asked for them
        self._held: deque[Task] = deque()  # tasks that wait because their owner has its share
        self._made = 0
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        self._own = threading.local()

    def submit(self, run: Callable[[], _Result], kill: Callable[[], None], seconds: float = 0.0) -> Future[_Result]:
        """Call `run` on a thread, with a time limit if `seconds` is set. Raises RuntimeError if closed."""
        task = Task(Future(), run, kill, seconds, owner=owner(), asker=asker(), caller=caller())
        with self._lock:
            if self._closed.is_set():
                message = "the engine is closed"
                raise RuntimeError(message)
            if self._may_go(task):
                self._go(task)
            else:
                self._held.append(task)
            if seconds and self._watch is None:
                self._watch = threading.Thread(target=self._look, name=f"{self._name}-watch", daemon=True)
                self._watch.start()
        return task.future

    def _may_go(self, task: Task) -> bool:
        """Return whether a task's owner would leave as many threads as it takes (the caller holds the lock)."""
        if not task.owner:
            return True
        taken = self._of[task.owner]
        return self._given_up[task.owner] < self._count and (not taken or taken < self._most - self._unfinished)

    def _go(self, task: Task) -> None:
        self._tasks.put(task)
        self._unfinished += 1
        self._of[task.owner] += 1
        if len(self._threads) < (self._most if self._unfinished > len(self._threads) else self._count):
            self._start()

    def _leave(self, task: Task) -> None:
        """Stop counting a task, and start waiting ones that may now run (the caller holds the lock)."""
        self._unfinished -= 1
        self._of[task.owner] -= 1
        if not self._of[task.owner]:
            del self._of[task.owner]
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, deque()
        for other in held:
            if self._may_go(other):
                self._go(other)
            else:
                self._held.append(other)

    def result(self, future: Future[_Result]) -> _Result:
        """Wait for a task; kill it if this thread is interrupted (`interrupted_by`). Raises EngineError."""
        ended = interruption()
        while ended is not None and not future.done():
            if ended.is_set():
                interrupted()
                self._end(future)
            wait([future], _AGAIN)
        return future.result()

    def _end(self, future: Future[Any]) -> None:
        """Kill a task and wait for it briefly. Raises EngineError if it had not begun."""
        if future.cancel():
            raise EngineError(_CANCELLED)
        with self._lock:
            kills = [task.kill for task in self._running if task.future is future]
        for kill in kills:
            kill()
        wait([future], _MOMENT)
        if not future.done():
            self.give_up(future, EngineError(_CANCELLED))

    def task(self) -> Task | None:
        """Return the task that this thread runs, if any."""
        return getattr(self._own, "task", None)

    def give_up(self, future: Future[Any], error: EngineError) -> None:
        """Fail a running task with an error now, and start another thread to replace its thread."""
        with self._lock:
            task = next((task for task in self._running if task.future is future and not task.given_up), None)
            if task is None:
                return
            task.given_up = time.monotonic()
            self._given_up[task.asker] += 1
            self._leave(task)
            self._threads = {thread for thread in self._threads if thread is not task.thread}
            if not self._closed.is_set():
                self._start()
        _LOGGER.error("a statement goes on though it was ended: its thread is replaced (%d such)", len(self.stuck()))
        self._changed()
        with contextlib.suppress(Exception):
            future.set_exception(error)

    def end_all(self) -> None:
        """End all that runs, and give up what goes on a moment later."""
        with self._lock:
            found = [task for task in self._running if not task.given_up]
        for task in found:
            task.kill()
        wait([task.future for task in found], _LOOK)
        for task in found:
            if not task.future.done():
                self.give_up(task.future, EngineError(_CANCELLED))

    def stuck(self) -> list[tuple[str, float]]:
        """Return the stuck statements: for each, who asked for it, and the seconds since it was given up."""
        with self._lock:
            return [(task.asker, time.monotonic() - task.given_up) for task in self._running if task.given_up]

    def stuck_callers(self) -> Collection[Hashable]:
        """Return the tokens whose own SQL is stuck."""
        if not self._given_up:
            return ()
        with self._lock:
            return {task.caller for task in self._running if task.given_up and task.caller is not None}

    def stuck_of(self) -> Mapping[str, int]:
        """Return how many stuck statements each has asked for."""
        with self._lock:
            return dict(self._given_up) if self._given_up else {}

    def close(self) -> bool:
        """Run what still waits, then stop the threads; return False if a statement is stuck."""
        with self._lock:
            while self._held:
                self._go(self._held.popleft())
            self._closed.set()
            threads = list(self._threads)
            for _ in threads:
                self._tasks.put(None)
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(_LOOK)
            with self._lock:  # a task may have been given up meanwhile
                threads = [thread for thread in threads if thread in self._threads]
        return not self.stuck()

    def _start(self) -> None:
        self._made += 1
        thread = threading.Thread(target=self._work, name=f"{self._name}_{self._made}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not task.future.set_running_or_notify_cancel():
                with self._lock:
                    self._leave(task)
                continue
            self._own.task, task.thread = task, threading.current_thread()
            task.go_on()
            with self._lock:
                self._running.add(task)
            result: Any = None
            error: BaseException | None = None
            try:
                result = task.run()
            except BaseException as raised:  # noqa: BLE001 - the future raises it
                error = raised
            with self._lock:
                self._running.discard(task)
                if task.given_up:
                    self._end_late(task)
                else:
                    self._leave(task)
            if task.given_up:
                self._changed()
                _LOGGER.warning(
                    "a statement that was given up has ended, %.0f s late", time.monotonic() - task.given_up
                )
                return
            if task.killed and isinstance(error, EngineError) and error.name == "QUERY_WAS_CANCELLED":
                error = _too_late(task)
            if error is not None:
                task.future.set_exception(error)
            else:
                task.future.set_result(result)
            self._own.task = task = result = error = None  # hold no reference while this thread waits

    def _end_late(self, task: Task) -> None:
        """Stop counting a given-up task, and start tasks that waited because of it (the caller holds the lock)."""
        self._given_up[task.asker] -= 1
        if not self._given_up[task.asker]:
            del self._given_up[task.asker]
        if not self._closed.is_set():
            self._let_go()

    def _look(self) -> None:
        """Kill statements that run for too long; give up those that still go on."""
        while not self._closed.wait(_LOOK):
            now = time.monotonic()
            with self._lock:
                late = [(t, now - t.since - t.seconds) for t in self._running if t.seconds and t.since]
            for task, over in late:
                if over > 0 and not task.killed:
                    task.killed = True
                    task.kill()
                elif over > self._grace and not task.given_up:
                    self.give_up(task.future, _too_late(task))


def _too_late(task: Task) -> EngineError:
    return EngineError(_TOO_LATE.format(task.seconds))


def patience(sql: str, settings: Settings | None) -> float:
    """Return after how many seconds to kill a statement: a bit after its own limit; 0 for never."""
    limit = float(str((settings or {}).get("max_execution_time", 0)))
    return limit + _LATE if limit else _QUICK_SECONDS if sql.startswith(_QUICK) else 0.0
