"""The Python entry point: opens a project folder as a running workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickpipe.config import folder_secrets, load_settings
from clickpipe.project import read_folder
from clickpipe.runtime.instance import Instance
from clickpipe.runtime.workspace import Workspace


@contextmanager
def open_project(path: str | Path, data_dir: str | Path | None = None) -> Iterator[Workspace]:
    """Open a project folder in this process, deploy its current files, and yield its workspace.

    Data is kept in `data_dir` (by default `.clickpipe` in the project). Raises ProjectError, and
    ClickpipeError if another process has the folder open.
    """
    root = Path(path)
    settings = load_settings(root)
    with Instance(Path(data_dir) if data_dir else root / settings.data_dir, settings) as instance:
        texts, _ = read_folder(root)
        instance.default.local_secrets = folder_secrets(root)
        instance.default.deploy(texts)
        yield instance.default
