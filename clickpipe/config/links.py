"""Links in a project's folder: none leads out of it, and none makes a command show, send or write what is elsewhere.

A project may be somebody else's: a pull request that a pipeline tests, a repository that was just cloned.
"""

from __future__ import annotations

from pathlib import Path

from clickpipe.diagnostics import ClickpipeError


def require_inside(root: Path, path: Path) -> Path:
    """Return a file of the project in `root`, which may be a link within its repository.

    Raises ClickpipeError for one that leads out of it.
    """
    if not path.resolve().is_relative_to(_repository(root)):
        message = f"{path} is a link that leads out of the project: a copy of the file can stand in its place"
        raise ClickpipeError(message, code="leads_out")
    return path


def _repository(root: Path) -> Path:
    """Return the folder of the git repository that a project is in, its own where there is none."""
    whole = root.resolve()
    found = next((folder for folder in (whole, *whole.parents) if (folder / ".git").exists()), whole)
    return whole if Path.home().resolve().is_relative_to(found) else found  # who keeps all of a home in git
