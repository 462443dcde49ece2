"""Symbolic links in a project: commands do not follow those that lead out of its repository.

A project may be untrusted: a pull request under test in CI, or a freshly cloned repository.
"""

from __future__ import annotations

from pathlib import Path

from clickpipe.diagnostics import ClickpipeError


def require_inside(root: Path, path: Path) -> Path:
    """Return `path`, a file of the project in `root`. Raises ClickpipeError for a link out of the repository."""
    if not path.resolve().is_relative_to(_repository(root)):
        message = f"{path} is a link to a file outside the project: replace it with a copy of the file"
        raise ClickpipeError(message, code="leads_out")
    return path


def _repository(root: Path) -> Path:
    """Return the root of the git repository that contains a project, or the project's folder if there is none."""
    whole = root.resolve()
    found = next((folder for folder in (whole, *whole.parents) if (folder / ".git").exists()), whole)
    return (
        whole if Path.home().resolve().is_relative_to(found) else found
    )  # ignore a repository that contains the whole home directory
