"""Writes cache files atomically, so that readers see either the old or the new one."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

_LEFT_BEHIND_SECONDS = 3600


def cache_folder(root: Path) -> Path:
    """Return the path of a project's cache."""
    return root / ".clickpipe" / "cache"


def make_folder(folder: Path) -> None:
    """Create a cache folder that git ignores, and remove leftovers of killed processes from it.

    Raises OSError, also if it is behind a link: an untrusted project could have any folder written to and cleared.
    """
    if any(path.is_symlink() for path in (folder, folder.parent)):
        raise OSError(errno.ELOOP, "it is a link", str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        replace_file(folder / ".gitignore", b"*\n")
    long_ago = time.time() - _LEFT_BEHIND_SECONDS
    for path in folder.glob("new-*"):
        if path.exists() and path.stat().st_mtime < long_ago:
            path.unlink(missing_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write to a temporary file, then rename it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
