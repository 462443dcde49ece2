"""What is read, written and called outside of a server: files that are opened, files that changed, callers of ports."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

_NONBLOCK = 0o4000
_OPENED, _READ = 0x20, 0x1
_EVENT = struct.Struct("iIII")

State = Mapping[str, tuple[int, int, int]]


class Opened:
    """Tells which of some files were opened, by whomever (Linux's inotify; elsewhere none are told)."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Begin to watch."""
        self._names: dict[int, str] = {}
        self._descriptor = -1
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = libc.inotify_init1(_NONBLOCK)
            for path in paths:
                self._names[libc.inotify_add_watch(self._descriptor, os.fsencode(path), _OPENED | _READ)] = str(path)

    def __call__(self) -> list[str]:
        """Return the files that were opened since the last call."""
        found: set[str] = set()
        with contextlib.suppress(BlockingIOError, OSError):
            while data := os.read(self._descriptor, 65_536):
                at = 0
                while at < len(data):
                    watch, _, _, length = _EVENT.unpack_from(data, at)
                    found.add(self._names.get(watch, "?"))
                    at += _EVENT.size + length
        return sorted(found)


def state(*roots: Path, besides: Iterable[Path] = ()) -> State:
    """Return kind and size, time of change and number of each file and folder below some folders."""
    left_out = {str(path) for path in besides}
    found: dict[str, tuple[int, int, int]] = {}
    waiting = [str(root) for root in roots]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.path in left_out:
                    continue
                about = entry.stat(follow_symlinks=False)
                is_folder = entry.is_dir(follow_symlinks=False)
                found[entry.path] = (about.st_mode, 0 if is_folder else about.st_size, about.st_mtime_ns)
                if is_folder:
                    waiting.append(entry.path)
    return found


def changed(before: State, after: State) -> list[str]:
    """Return what is there, gone or different."""
    return sorted(f"wrote {path}" for path in before.keys() | after.keys() if before.get(path) != after.get(path))


class Knocks:
    """Tells who came to a port of this machine, by TCP or UDP, over IPv4 or IPv6."""

    def __init__(self, port: int) -> None:
        """Know the port that is listened to."""
        self.port = port
        self._came: list[str] = []
        self._lock = threading.Lock()

    def came(self, who: str) -> None:
        """Remember a caller."""
        with self._lock:
            self._came.append(who)

    def __call__(self) -> list[str]:
        """Return who came since the last call."""
        with self._lock:
            found, self._came = self._came, []
        return [f"reached by {who}" for who in found]


@contextmanager
def listening() -> Iterator[Knocks]:
    """Listen on a free port until the end."""
    with ExitStack() as opened:
        first = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        knocks = Knocks(first.getsockname()[1])
        sockets = [first]
        with contextlib.suppress(OSError):
            address = ("::1", knocks.port)
            sockets.append(opened.enter_context(socket.create_server(address, family=socket.AF_INET6)))
        with contextlib.suppress(OSError):
            udp = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(("127.0.0.1", knocks.port))
            sockets.append(udp)
        for one in sockets:
            threading.Thread(target=_accept, args=(one, knocks), daemon=True).start()
        yield knocks


def _accept(one: socket.socket, knocks: Knocks) -> None:
    with contextlib.suppress(OSError):
        while True:
            if one.type == socket.SOCK_DGRAM:
                knocks.came(str(one.recvfrom(100)[1]))
            else:
                connection, address = one.accept()
                knocks.came(str(address))
                connection.close()
