"""Futures of answers built from other futures; cancelling one ends what it waits for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import QueryResult
from clickpipe.query.answer import Answer, Kept, Started
from clickpipe.query.limiter import Running

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def mapped(future: Future[_Given], make: Callable[[_Given], _Made]) -> Future[_Made]:
    """Return a future of `make(result)`."""
    found: Future[_Made] = Future()
    future.add_done_callback(lambda done: _pass_on(done, found, make))
    return found


def _pass_on(done: Future[_Given], found: Future[_Made], make: Callable[[_Given], _Made]) -> None:
    if not found.set_running_or_notify_cancel():
        _drop(done)  # the caller has left
    elif done.cancelled():
        found.set_exception(RuntimeError("the query was ended before it began"))
    elif (error := done.exception()) is not None:
        found.set_exception(error)
    else:
        found.set_result(make(done.result()))


def _drop(done: Future[Any]) -> None:
    """Close a streamed result that nobody will read."""
    if not done.cancelled() and done.exception() is None:
        given = done.result()
        result = given.result if isinstance(given, Kept | Answer) else given
        if result.more is not None:
            result.more.close()


def shared(future: Future[Kept], make: Callable[[Kept], Answer], run: Callable[[], Running]) -> Future[Answer]:
    """Return the answer of another caller's query, or of an own `run` if that result is streamed."""
    found: Future[Answer] = Future()

    def ended(done: Future[Kept]) -> None:
        if done.exception() is None and done.result().result.more is not None and not found.cancelled():
            try:
                own = plain(run())
            except ClickpipeError as error:  # too many queries are queued
                if found.set_running_or_notify_cancel():
                    found.set_exception(error)
                return
            own.add_done_callback(lambda it: _pass_on(it, found, lambda answer: answer))
            found.add_done_callback(lambda it: own.cancel() if it.cancelled() else None)
        else:
            _pass_on(done, found, make)

    future.add_done_callback(ended)
    return found


def behind(first: Future[_Given], then: Callable[[_Given], Started]) -> Future[Answer]:
    """Return the answer of what `then` starts with the result of `first`; cancelling it ends either."""
    found: Future[Answer] = Future()

    def start(done: Future[_Given]) -> None:
        if found.cancelled():
            return
        try:
            started = then(done.result())
        except BaseException as error:  # noqa: BLE001 - the future raises any of them
            if found.set_running_or_notify_cancel():
                found.set_exception(error)
            return
        if isinstance(started, Answer):
            if found.set_running_or_notify_cancel():
                found.set_result(started)
            return
        started.add_done_callback(lambda it: _pass_on(it, found, lambda answer: answer))
        found.add_done_callback(lambda it: started.cancel() if it.cancelled() else None)

    first.add_done_callback(start)
    return found


def plain(running: Running) -> Future[Answer]:
    """Return the answer of a query that is neither cached nor shared."""
    return made_of(running, Answer)


def made_of(running: Running, make: Callable[[QueryResult], _Made]) -> Future[_Made]:
    """Return a future of `make(result)`; cancelling it ends the query."""
    answer = mapped(running.future, make)
    answer.add_done_callback(lambda done: running.cancel() if done.cancelled() else None)
    return answer
