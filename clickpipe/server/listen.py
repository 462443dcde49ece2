"""The sockets of a server, opened before anything else, so that a port in use is reported early."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from clickpipe.config import Settings
from clickpipe.diagnostics import ClickpipeError


@contextmanager
def listening(settings: Settings) -> Iterator[list[socket.socket]]:
    """Yield the listening sockets, the one for ClickHouse clients last, and close them at the end.

    Port 0 picks a free one. Raises ClickpipeError if an address cannot be used.
    """
    with ExitStack() as opened:
        ports = [settings.port, *([settings.clickhouse_port] if settings.clickhouse_port else [])]
        names = ("--port", "the setting clickhouse_port")
        yield [opened.enter_context(_listen(settings.host, *of)) for of in zip(ports, names, strict=False)]


def _listen(host: str, port: int, name: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            hint = f"Is another clickpipe running? Use {name}."
        elif error.errno == errno.EACCES:
            hint = f"Ports below 1024 often need root. Use {name}."
        else:
            hint = "The host must be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all."
        message = f"Cannot listen on {host}:{port}: {error.strerror}. {hint}"
        raise ClickpipeError(message, status=503, code="address_in_use") from None
    return listener
