"""Serving an instance over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from clickpipe.observe import set_up_logs
from clickpipe.runtime import Instance
from clickpipe.server.app import create_app
from clickpipe.server.protocol import JsonErrors

_LOGGER = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server that says when it listens, and when it stops: before it waits for what requests wait for."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def run(instance: Instance, listeners: Sequence[socket.socket], *, ready: Callable[[str], None]) -> bool:
    """Serve until SIGINT or SIGTERM on what `listening` gave; `ready` is called with the URL once it answers.

    Returns True where it ended by itself, to be started anew: statements go on that ClickHouse does not end. The log
    has no URLs: they may carry tokens.
    """
    settings = instance.settings
    set_up_logs(settings.log_level, settings.log_format)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http{'s' if settings.tls_certificate else ''}://{shown}:{listeners[0].getsockname()[1]}"
    config = uvicorn.Config(
        create_app(instance),
        loop="uvloop",
        http=type("Timed", (JsonErrors,), {"head_seconds": settings.request_header_seconds}),
        log_config=None,
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or "",
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
        server_header=False,
        timeout_graceful_shutdown=10,
        lifespan="off",
    )
    server = _Server(config, lambda: ready(url), instance.stop)
    _collect_less()
    over, again = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if _is_stuck(instance):
                _LOGGER.error("statements go on though they were ended: the server starts anew")
                again.set()
                server.should_exit = True
                return

    threading.Thread(target=watch, name="watch", daemon=True).start()
    with _sigterm_as_sigint():
        try:
            with contextlib.suppress(KeyboardInterrupt):  # raised again by uvicorn, after its shutdown
                server.run(sockets=list(listeners))
        finally:
            over.set()
    return again.is_set()


def _collect_less() -> None:
    """Leave what is there at the start out of garbage collection, and collect a tenth as often.

    What requests make is free when they end; looking for cycles in it was an eighth of the event loop's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _is_stuck(instance: Instance) -> bool:
    """Tell whether statements go on that only another process gets rid of, and nobody innocent would mind the restart.

    That is so if more of the server's own go on than may, or one for too long; if workspaces have some, more of them
    than there are workers (whatever it is, it is nothing that one of them does); or if every workspace has one, for too
    long. A workspace alone is refused more, and stops nobody.
    """
    longest: dict[str, float] = {}
    for owner, seconds in instance.engine.stuck():
        longest[owner] = max(seconds, longest.get(owner, 0.0))
    too_long = {owner for owner, seconds in longest.items() if seconds > instance.settings.query_stuck_seconds}
    own, workers = instance.engine.stuck_of().get("", 0), instance.settings.workers
    if own > workers or len(longest.keys() - {""}) > workers or "" in too_long:
        return True
    return bool(too_long) and {w.id for w in instance.workspaces if not w.parent} <= too_long


@contextmanager
def serve_in_thread(instance: Instance) -> Iterator[str]:
    """Serve on a free port of this machine as long as the context lasts; gives the URL."""
    config = uvicorn.Config(
        create_app(instance), port=0, http=JsonErrors, lifespan="off", log_config=None, log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="server")
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _sigterm_as_sigint() -> Iterator[None]:
    """Have SIGTERM, which uvicorn re-raises too, leave the time to close what is open."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
