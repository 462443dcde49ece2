"""Which files below a folder are a project's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ENDINGS = (".datasource", ".pipe", ".connection", ".incl")
_SKIPPED = {"node_modules", "vendor", "venv", "__pycache__", "dist", "build"}


def project_folders(root: Path) -> Iterator[Path]:
    """Yield `root` and the folders below it, sorted; hidden ones, virtual environments and builds left out."""
    for folder, folders, _ in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        yield Path(folder)


def datafile_paths(root: Path) -> Iterator[Path]:
    """Yield the datafiles in the project's folders, sorted by folder and name."""
    for folder in project_folders(root):
        with os.scandir(folder) as found:
            names = sorted(e.name for e in found if _is_datafile(e))
        for name in names:
            yield folder / name


def _is_datafile(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(ENDINGS) and not entry.name.startswith(".") and entry.is_file()
