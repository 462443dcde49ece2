"""The data folder of a running instance: locked, readable by its owner only, and free of forgotten uploads."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from clickpipe.catalog import Job
from clickpipe.diagnostics import ClickpipeError


def open_folder(data_dir: Path | None, opened: ExitStack) -> Path:
    """Return the data folder, locked until `opened` closes; without one, a temporary folder.

    Raises ClickpipeError if it cannot be made or written to, or if another process has it open.
    """
    folder = data_dir or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="clickpipe-")))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # the folder belongs to another user, but is writable
            folder.chmod(0o700)
        opened.callback(os.close, _lock(folder))
    except OSError as error:
        message = f"The data folder {folder} cannot be used: {error.strerror}. Choose another one with --data-dir."
        raise ClickpipeError(message, status=503, code="folder_unusable") from None
    return folder


def unusable(folder: Path | None, error: OSError) -> ClickpipeError:
    """Return what is said of a data folder (None: a temporary one) when the system refuses one of its files."""
    file = f" ({error.filename})" if error.filename else ""
    message = f"The data folder {folder or 'in memory'} cannot be used: {error.strerror or error}{file}."
    return ClickpipeError(message, status=503, code="folder_unusable")


def _lock(folder: Path) -> int:
    """Lock the folder for this process. Raises ClickpipeError, naming the process that holds it."""
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        message = (
            f"The data folder {folder} is in use by another clickpipe (process {holder}). "
            "Stop it first, or choose another folder with --data-dir."
        )
        raise ClickpipeError(message, status=503, code="folder_in_use") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


class Uploads:
    """The files of imports, kept until their rows are inserted."""

    def __init__(self, folder: Path, unfinished: Iterable[Job]) -> None:
        """Remove the files of interrupted imports, except those of `unfinished` jobs, which are resumed."""
        self._folder = folder / "uploads"
        self._folder.mkdir(exist_ok=True)
        kept = {Path(job.parameters.get("upload", {}).get("path", "")) for job in unfinished}
        for path in self._folder.iterdir():
            if path.with_suffix("") not in kept:
                path.unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return the path for an uploaded file."""
        return self._folder / name
