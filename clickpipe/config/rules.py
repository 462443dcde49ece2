"""Rules for compiling a project that the settings can change."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, replace

SETTINGS_FILE = "clickpipe.toml"

# Table functions that only copy pipes may read, and the name of the source that ClickHouse requires a grant on.
COPY_SOURCES = {
    "azureblobstorage": "AZURE",
    "deltalake": "S3",
    "gcs": "S3",
    "iceberg": "S3",
    "mongodb": "MONGO",
    "mysql": "MYSQL",
    "postgresql": "POSTGRES",
    "s3": "S3",
    "url": "URL",
}


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """Rules for compiling a project.

    `lenient`: broken branches are only warnings. `copy_sources`: table functions that copies may read, in lower case.
    `any_enum`: values outside a parameter's `enum=` are accepted. `lossy_columns`: columns of views and copies that may
    receive values that their types alter or refuse. `on_server`: these are the rules of the server that the project is
    deployed to; without it, they are unknown. `no_kafka`: why no topic is read here, or ''. `no_buckets`: why no files
    are imported from buckets here, or ''. `no_producer`: why no sink sends to a topic here, or ''.
    """

    lenient: bool = True
    copy_sources: Collection[str] = frozenset()
    any_enum: bool = False
    on_server: bool = False
    lossy_columns: Collection[str] = frozenset()
    no_kafka: str = ""
    no_buckets: str = ""
    no_producer: str = ""

    def key(self) -> str:
        """Return a text that differs for different rules."""
        flags = f"{int(self.lenient)}{int(self.any_enum)}{int(self.on_server)}"
        sources, lossy = ",".join(sorted(self.copy_sources)), ",".join(sorted(self.lossy_columns))
        return f"{flags}:{sources}:{lossy}:{self.no_kafka}:{self.no_buckets}:{self.no_producer}"


def with_project(rules: ProjectRules, text: str) -> ProjectRules:
    """Return a server's rules with the strictness settings from a project's own `clickpipe.toml`.

    Other settings in that file are ignored on a server, and so is a file that cannot be parsed.
    """
    try:
        settings = tomllib.loads(text)
    except (ValueError, RecursionError):  # a number of 5,000 digits, a thousand brackets
        return rules
    lossy = settings.get("lossy_columns")
    strict, enum = settings.get("broken_branches"), settings.get("enum_values")
    return replace(
        rules,
        lenient=strict == "warning" if strict in ("error", "warning") else rules.lenient,
        any_enum=enum == "ignore" if enum in ("error", "ignore") else rules.any_enum,
        lossy_columns=names_of(lossy) if isinstance(lossy, str) else rules.lossy_columns,
    )


def names_of(text: str) -> frozenset[str]:
    """Split a comma-separated setting into names."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())


DEFAULT_RULES = ProjectRules()
STRICT_RULES = ProjectRules(lenient=False)
