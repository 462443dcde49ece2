"""Secrets that templates ask for with `tb_secret`: environment variables `CLICKPIPE_SECRET_<name>`."""

from __future__ import annotations

import os

PREFIX = "CLICKPIPE_SECRET_"


def environment_secret(name: str) -> str | None:
    """Return a secret's value, None where it is not set."""
    return os.environ.get(f"{PREFIX}{name}")
