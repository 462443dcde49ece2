"""Names and ids derived from others: the same in every room and every run."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from clickpipe.compiler import SERVED
from clickpipe.sql import quote_identifier

_PREFIX = {"datasource": "t_", "pipe": "t_", "node": "t_", "connection": "c_"}


@lru_cache(maxsize=8192)
def resource_id(workspace: str, kind: str, *names: str) -> str:
    """Return a resource's id, which depends only on its name, its kind and its workspace."""
    digest = hashlib.sha256("/".join([workspace, kind, *names]).encode()).hexdigest()
    return f"{_PREFIX[kind]}{digest[:32]}"


@lru_cache(maxsize=1024)
def service_tables(database: str) -> dict[str, str]:
    """Return the service data sources of a workspace's database: name in SQL → quoted physical table."""
    owner = quote_identifier(f"{database}_service")
    return {f"tinybird.{name}": f"{owner}.{quote_identifier(name)}" for name in sorted(SERVED)}
