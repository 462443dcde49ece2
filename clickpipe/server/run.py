"""Serving an instance over a socket."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from clickpipe.diagnostics import ClickpipeError
from clickpipe.observe import set_up_logs
from clickpipe.runtime import Instance
from clickpipe.server.app import create_app
from clickpipe.server.protocol import JsonErrors

_LOGGER = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A uvicorn server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await asyncio.to_thread(self._ready)


def run(instance: Instance, *, host: str, port: int, ready: Callable[[str], None]) -> bool:
    """Serve until SIGINT or SIGTERM; `ready` is called with the URL once the port answers.

    Returns True where it ended by itself, to be started anew: statements go on that ClickHouse does not end.

    Port 0 takes a free one. Raises ClickpipeError when the address cannot be taken. The log has no
    URLs: they may carry tokens.
    """
    listener = _listen(host, port)
    listeners = [listener]
    if instance.settings.clickhouse_port:
        try:
            listeners.append(_listen(host, instance.settings.clickhouse_port))
        except ClickpipeError:
            listener.close()
            raise
    settings = instance.settings
    set_up_logs(settings.log_level, settings.log_format)
    shown = f"[{host}]" if ":" in host else host
    url = f"http{'s' if settings.tls_certificate else ''}://{shown}:{listener.getsockname()[1]}"
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
    server = _Server(config, lambda: ready(url))
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
            server.run(sockets=listeners)
        except KeyboardInterrupt:
            pass  # uvicorn re-raises the signal it handled: the shutdown was clean
        finally:
            over.set()
            for one in listeners:
                one.close()
    return again.is_set()


def _is_stuck(instance: Instance) -> bool:
    """Tell whether more statements go on than may, or one for too long: only another process gets rid of them."""
    stuck = instance.engine.stuck()
    return len(stuck) > instance.settings.workers or max(stuck, default=0.0) > instance.settings.query_stuck_seconds


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


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        message = f"Cannot listen on {host}:{port}: {error.strerror}. Is another clickpipe running? Use --port."
        raise ClickpipeError(message, status=503, code="address_in_use") from None
    return listener
