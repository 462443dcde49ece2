"""Hashes the content of a project folder: equal hashes mean equal compiler results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

# Packages that affect the result; clickpipe's own code counts as well, for its developers.
_METADATA = re.compile(r"(clickpipe|chdb_core|jinja2|lark|croniter)-.*\.dist-info$", re.IGNORECASE)
_VARIABLE = re.compile(rb"\$\{?(\w+)")


def folder_state(files: Mapping[str, bytes | OSError], environment: Mapping[str, str] = os.environ) -> str:
    """Return a hash of the datafiles' names and bytes, the variables they use, and the versions that parse them."""
    state = hashlib.sha256()
    for part in _parts(files, environment):
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


@cache
def code_state() -> str:
    """Return a hash of the versions that parse a project."""
    return hashlib.sha256("\n".join(_versions()).encode(errors="surrogateescape")).hexdigest()


def _parts(files: Mapping[str, bytes | OSError], environment: Mapping[str, str]) -> Iterator[bytes]:
    yield code_state().encode()
    variables: set[bytes] = set()
    for name, text in files.items():
        yield os.fsencode(name)
        if isinstance(text, OSError):
            yield f"unreadable: {text.strerror}".encode()
            continue
        yield text
        if b"$" in text:
            variables.update(_VARIABLE.findall(text))
    for variable in sorted(variables):
        value = environment.get(variable.decode(errors="replace"))
        yield variable + (b"" if value is None else b"=" + value.encode(errors="surrogateescape"))


def _versions() -> Iterator[str]:
    """Yield what is installed, by the names of metadata folders; importlib.metadata is slower than all the rest."""
    for folder in sys.path:
        with contextlib.suppress(OSError), os.scandir(folder or ".") as found:
            yield from sorted(entry.name for entry in found if _METADATA.match(entry.name))
    for path in sorted(Path(__file__).parent.parent.glob("*/*")):
        if path.suffix in {".py", ".lark"}:
            status = path.stat()
            yield f"{path.parent.name}/{path.name} {status.st_size} {status.st_mtime_ns}"
