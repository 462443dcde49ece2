"""What a project is held to when it is compiled, where that is a choice of the settings."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from dataclasses import dataclass, replace

SETTINGS_FILE = "clickpipe.toml"

# The table functions that only copy pipes may read, and ClickHouse's name of the source that each needs a grant on.
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
    """`lenient`: branches that cannot work are warnings. `copy_sources`: what copies may read, in lower case.

    `any_enum`: a value that is not among a parameter's `enum=` is taken. `lossy_columns` of views and copies may take
    values that they alter or refuse. `on_server`: the rules are those of the server that the project is deployed to; a
    project alone does not know what its server allows. `no_kafka` tells why no topic is read here; '' where they are.
    """

    lenient: bool = True
    copy_sources: Collection[str] = frozenset()
    any_enum: bool = False
    on_server: bool = False
    lossy_columns: Collection[str] = frozenset()
    no_kafka: str = ""

    def key(self) -> str:
        """Return a text that is another one for other rules."""
        flags = f"{int(self.lenient)}{int(self.any_enum)}{int(self.on_server)}"
        return f"{flags}:{','.join(sorted(self.copy_sources))}:{','.join(sorted(self.lossy_columns))}:{self.no_kafka}"


def with_project(rules: ProjectRules, text: str) -> ProjectRules:
    """Return a server's rules with what a project's own `clickpipe.toml` says of how strict it is to be checked.

    Nothing else of that file counts on a server, and nothing of one that cannot be read.
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
    """Return the names in a setting that lists some, with commas between them."""
    return frozenset(name.strip() for name in text.split(",") if name.strip())


DEFAULT_RULES = ProjectRules()
STRICT_RULES = ProjectRules(lenient=False)
