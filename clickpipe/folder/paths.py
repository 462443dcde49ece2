"""Finds the files of a project below a folder."""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

ENDINGS = (".datasource", ".pipe", ".connection", ".incl")
_AT_ONCE = 1 << 16
_NO_DATAFILE = OSError(errno.EPERM, "it is a link to a file that is not a datafile")
_SKIPPED = {"node_modules", "venv", "__pycache__", "dist", "build"}
_SETTINGS = "clickpipe.toml"
_NOT_DEPLOYED = {"playgrounds", "explorations"}  # in the project's root: for experiments only, not part of the project


def project_folders(root: Path) -> Iterator[Path]:
    """Yield `root` and the folders below it, sorted; without hidden ones, virtual environments and builds.

    In `vendor`, only data sources of other workspaces count: `vendor/<workspace>/datasources`. A folder with its own
    `clickpipe.toml` is another project.
    """
    for folder, folders, files in os.walk(root):
        path = Path(folder)
        parts = path.relative_to(root).parts
        if parts and _SETTINGS in files:
            folders.clear()
            continue
        skipped = _SKIPPED if parts else _SKIPPED | _NOT_DEPLOYED
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in skipped)
        if "vendor" not in parts or "datasources" in parts[parts.index("vendor") :]:
            yield path


def datafile_paths(root: Path) -> Iterator[Path]:
    """Yield the datafiles in the project's folders, sorted by folder and name."""
    for folder in project_folders(root):
        with os.scandir(folder) as found:
            names = sorted(e.name for e in found if _is_datafile(e) and not _leads_elsewhere(e))
        for name in names:
            yield folder / name


def read_datafiles(root: Path) -> dict[str, bytes | OSError]:
    """Return the bytes of the datafiles by relative path (with `/`), or the error if one cannot be read."""
    found: dict[str, bytes | OSError] = {}
    for folder in project_folders(root):
        with os.scandir(folder) as entries:
            paths = sorted((e.name, e.path, _leads_elsewhere(e)) for e in entries if _is_datafile(e))
        parts = folder.relative_to(root).parts
        for name, path, elsewhere in paths:
            try:
                data: bytes | OSError = _NO_DATAFILE if elsewhere else _read(path)
            except OSError as error:
                data = error
            found[posixpath.join(*parts, name)] = data
    return found


def _read(path: str) -> bytes:
    """Read a file; opening a file object would double the time for thousands of small files."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        parts = []
        while part := os.read(descriptor, _AT_ONCE):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _is_datafile(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(ENDINGS) and not entry.name.startswith(".") and entry.is_file()


def _leads_elsewhere(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry links to something other than a datafile: contents appear in errors, and are deployed."""
    return entry.is_symlink() and not os.path.realpath(entry.path).endswith(ENDINGS)
