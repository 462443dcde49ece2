"""Names and ids that follow from others: the same in every room, in every run."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from clickpipe.compiler import SERVED
from clickpipe.sql import quote_identifier

_PREFIX = {"datasource": "t_", "pipe": "t_", "node": "t_"}


@lru_cache(maxsize=8192)
def resource_id(workspace: str, kind: str, *names: str) -> str:
    """Return a resource's id: the same for the same name in the same workspace."""
    digest = hashlib.sha256("/".join([workspace, kind, *names]).encode()).hexdigest()
    return f"{_PREFIX[kind]}{digest[:32]}"


@lru_cache(maxsize=1024)
def service_tables(database: str) -> dict[str, str]:
    """Return the quoted physical table of each service data source, by the name in SQL, for a workspace's database."""
    owner = quote_identifier(f"{database}_service")
    return {f"tinybird.{name}": f"{owner}.{quote_identifier(name)}" for name in sorted(SERVED)}
