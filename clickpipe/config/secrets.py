"""Secrets for `tb_secret` from outside the server's own store.

They come from environment variables `CLICKPIPE_SECRET_<name>` and, in development, from a project's `.env` and
`.env.local`.
"""

from __future__ import annotations

import os
from pathlib import Path

from clickpipe.config.links import require_inside

PREFIX = "CLICKPIPE_SECRET_"
ENV_FILES = (".env", ".env.local")


def environment_secret(name: str) -> str | None:
    """Return a secret's value, or None if it is not set."""
    return os.environ.get(f"{PREFIX}{name}")


def folder_secrets(root: Path) -> dict[str, str]:
    """Return the variables in `.env` and `.env.local` (which wins) of a project's folder.

    Raises UnicodeDecodeError, and ClickpipeError for a link out of the project.
    """
    found = [require_inside(root, path) for name in ENV_FILES if (path := root / name).is_file()]
    if not found:
        return {}
    from dotenv import dotenv_values

    return {name: value or "" for path in found for name, value in dotenv_values(path, interpolate=False).items()}
