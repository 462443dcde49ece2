"""Serves an instance over a socket."""

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
from types import FrameType
from typing import Any

import uvicorn

from clickpipe.config import available_memory
from clickpipe.observe import set_up_logs
from clickpipe.runtime import Instance
from clickpipe.server.app import create_app
from clickpipe.server.memory import ConnectionMemory
from clickpipe.server.origins import Origins
from clickpipe.server.protocol import JsonErrors
from clickpipe.server.stopping import StopLimit

_LOGGER = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server with callbacks for when it listens, and for when it stops, before it waits for requests."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None], limit: StopLimit
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping
        self._limit = limit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._ready)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._limit.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def run(
    instance: Instance, listeners: Sequence[socket.socket], limit: StopLimit, *, ready: Callable[[str], None]
) -> bool:
    """Serve until SIGINT or SIGTERM on the sockets from `listening`; `ready` is called with the URL once it answers.

    From then on, `limit` counts. Returns True if it stopped to be restarted, because statements keep running that
    ClickHouse does not end. The log contains no URLs, as they may carry tokens.
    """
    settings = instance.settings
    set_up_logs(settings.log_level, settings.log_format)
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http{'s' if settings.tls_certificate else ''}://{shown}:{listeners[0].getsockname()[1]}"
    config = uvicorn.Config(
        create_app(instance),
        loop="uvloop",
        http=_protocol(instance, head_seconds=settings.request_header_seconds),
        log_config=None,
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        access_log=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or "",
        ssl_certfile=settings.tls_certificate or None,
        ssl_keyfile=settings.tls_key or None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(limit.for_requests)),
        lifespan="off",
    )
    server = _Server(config, lambda: ready(url), instance.stop, limit)
    _collect_less()
    over, again = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if _is_stuck(instance):
                _LOGGER.error("cancelled statements keep running: the server restarts")
                again.set()
                limit.start(again=True)
                server.should_exit = True
                return

    threading.Thread(target=watch, name="watch", daemon=True).start()
    with _sigterm_as_sigint():
        try:
            with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
                server.run(sockets=list(listeners))
        finally:
            over.set()
    return again.is_set()


def _protocol(instance: Instance, **more: Any) -> type[JsonErrors]:
    """Return the protocol, with the settings of this server and one limit for all its connections together."""
    most = instance.settings.connections_max_memory_bytes or available_memory() // 8
    origins = Origins(instance.settings.cors_origins)
    return type("Connection", (JsonErrors,), {"memory": ConnectionMemory(most), "origins": origins, **more})


def _collect_less() -> None:
    """Exclude what exists at the start from garbage collection, and collect a tenth as often.

    What requests create is freed when they end; looking for cycles in it took an eighth of the event loop's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _is_stuck(instance: Instance) -> bool:
    """Return whether statements keep running that only a new process gets rid of, and a restart is justified.

    It is if too many of the server's own statements keep running, or one for too long; if more workspaces than there
    are workers have any (no single one causes that); or if every workspace has one that runs for too long. A single
    workspace's further queries are refused, so it blocks nobody else.
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
    """Serve on a free local port while the context lasts; yields the URL."""
    config = uvicorn.Config(
        create_app(instance), port=0, http=_protocol(instance), lifespan="off", log_config=None, log_level="warning"
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
    """Treat SIGTERM, which uvicorn re-raises too, as SIGINT, to leave time to close everything."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
