"""The address of the server that uses a data folder, for local commands: `server.json` in that folder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from clickpipe.config.key import Cipher, is_encrypted, load_cipher
from clickpipe.diagnostics import ClickpipeError

_FILE = "server.json"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The URL of a server and an admin token of its default workspace."""

    url: str
    token: str = field(repr=False)


def publish_address(data_dir: Path, address: ServerAddress, cipher: Cipher | None = None) -> None:
    """Write the address to the data folder, readable only by its owner, with the token encrypted."""
    if cipher is not None:
        address = ServerAddress(address.url, cipher.encrypt(address.token))
    partial = data_dir / f"{_FILE}.new"
    partial.unlink(missing_ok=True)  # a leftover file would keep its mode
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(address), file)
    partial.replace(data_dir / _FILE)


def withdraw_address(data_dir: Path) -> None:
    """Remove the address when the server stops."""
    (data_dir / _FILE).unlink(missing_ok=True)


def find_address(data_dir: Path, encryption_key: str = "") -> ServerAddress | None:
    """Return the address of the last server (which may have been killed since); None if there is none, or no key.

    Also None for the address of another machine: the file may have come with a project, and we send tokens and files
    there.
    """
    with contextlib.suppress(OSError, ValueError, TypeError, ClickpipeError):
        found = ServerAddress(**json.loads((data_dir / _FILE).read_text(encoding="utf-8")))
        if not _is_here(found.url):
            return None
        if not is_encrypted(found.token):
            return found
        cipher = load_cipher(encryption_key, make=False)
        return ServerAddress(found.url, cipher.decrypt(found.token)) if cipher is not None else None
    return None


def _is_here(url: str) -> bool:
    """Return whether a URL's address is of this machine, by binding to it. Raises ValueError for an invalid URL."""
    host = urlsplit(url).hostname or ""
    if host in {"localhost", socket.gethostname()}:
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)  # no look-up of names: anybody could answer
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.bind((host, 0))
    except OSError:
        return False
    return True
