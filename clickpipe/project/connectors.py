"""Connections, and the options of data sources and sinks that use them: which directives belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clickpipe.datafile import ConnectionFile, Statement
from clickpipe.diagnostics import Diagnostic, Severity, Span, Word, did_you_mean
from clickpipe.project.bucket import is_bucket_schedule
from clickpipe.project.common import description, is_cron
from clickpipe.project.model import Connection, Project
from clickpipe.project.secrets import find_secrets


@dataclass(frozen=True, slots=True)
class _Group:
    """Directives that belong together: if any starts with `sign`, all of one of `needs` are required."""

    what: str
    sign: str
    needs: tuple[tuple[str, ...], ...]


_SOURCES = (
    _Group(
        "a Kafka data source",
        "KAFKA_",
        (
            ("KAFKA_CONNECTION_NAME", "KAFKA_TOPIC", "KAFKA_GROUP_ID"),
            ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "KAFKA_GROUP_ID"),  # Classic: the connection in the same file
        ),
    ),
    _Group(
        "an import",
        "IMPORT_",
        (
            ("IMPORT_CONNECTION_NAME", "IMPORT_BUCKET_URI", "IMPORT_SCHEDULE"),
            ("IMPORT_CONNECTION_NAME", "IMPORT_TABLE_ARN", "IMPORT_EXPORT_BUCKET"),
            ("IMPORT_SERVICE",),  # Classic: BigQuery, Snowflake
        ),
    ),
    _Group("a Postgres data source", "PG_", (("PG_CONNECTION_NAME", "PG_TABLE"),)),
)
_SINKS = (
    _Group(
        "a sink",
        "EXPORT_",
        (
            ("EXPORT_CONNECTION_NAME", "EXPORT_BUCKET_URI", "EXPORT_FILE_TEMPLATE", "EXPORT_SCHEDULE"),
            ("EXPORT_CONNECTION_NAME", "EXPORT_KAFKA_TOPIC", "EXPORT_SCHEDULE"),
        ),
    ),
)
CONNECTIONS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "kafka": (("KAFKA_BOOTSTRAP_SERVERS",),),
    "s3": (("S3_REGION", "S3_ARN"), ("S3_REGION", "S3_ACCESS_KEY", "S3_SECRET")),
    "gcs": (("GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON",), ("GCS_HMAC_ACCESS_ID", "GCS_HMAC_SECRET")),
    "dynamodb": (("DYNAMODB_ARN", "DYNAMODB_REGION"),),
    "postgres": (("PG_HOST", "PG_DATABASE", "PG_USER", "PG_PASSWORD"),),
}
# Options of file sinks only, and their allowed values; () for any.
_FILE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "EXPORT_FORMAT": ("csv", "ndjson", "parquet"),
    "EXPORT_COMPRESSION": (),
    "EXPORT_FILE_TEMPLATE": (),
    "EXPORT_STRATEGY": (),
    "EXPORT_WRITE_STRATEGY": ("new", "@new", "create_new", "replace", "@replace", "truncate"),
}


def source_options(statements: Sequence[Statement]) -> tuple[dict[str, Word], list[Diagnostic]]:
    """Return the KAFKA_*, IMPORT_* and PG_* values of a data source, and diagnostics about them."""
    options = _options(statements, ("KAFKA_", "IMPORT_", "PG_"))
    diagnostics = [d for group in _SOURCES for d in _incomplete(group, statements, options)]
    schedule = options.get("IMPORT_SCHEDULE")
    classic = "IMPORT_SERVICE" in options
    if schedule is not None and not classic and not is_bucket_schedule(schedule.text):
        message = "IMPORT_SCHEDULE takes @auto, @on-demand, @once, or a cron expression (UTC)"
        diagnostics.append(Diagnostic("CP1008", message, schedule.span, hint="to import files as they arrive: @auto"))
    return options, diagnostics


def sink_options(statements: Sequence[Statement], keyword: Span) -> tuple[dict[str, Word], list[Diagnostic]]:
    """Return the EXPORT_* values of a sink, and diagnostics about them."""
    options = _options(statements, ("EXPORT_",))
    if "EXPORT_KAFKA_TOPIC" in options and "EXPORT_BUCKET_URI" in options:
        span = options["EXPORT_KAFKA_TOPIC"].span
        hint = "keep EXPORT_KAFKA_TOPIC or EXPORT_BUCKET_URI, and make a second pipe for the other"
        return options, [Diagnostic("CP1303", "a sink writes to Kafka or to files, not to both", span, hint=hint)]
    diagnostics = list(_incomplete(_SINKS[0], statements, options, keyword))
    schedule = options.get("EXPORT_SCHEDULE")
    if schedule is not None and schedule.text.lower() != "@on-demand" and not is_cron(schedule.text):
        message = f"EXPORT_SCHEDULE '{schedule.text}' is not a valid schedule"
        hint = 'write a cron expression (UTC) such as "0 1 * * *", or @on-demand'
        diagnostics.append(Diagnostic("CP1305", message, schedule.span, hint=hint))
    kafka = "EXPORT_KAFKA_TOPIC" in options
    for name, word in options.items():
        if kafka and name in _FILE_OPTIONS:
            message = f"{name} has no effect for Kafka"
            diagnostics.append(Diagnostic("CP1011", message, word.span, Severity.WARNING, "remove the line"))
        elif not kafka and (choices := _FILE_OPTIONS.get(name, ())) and word.text.lower() not in choices:
            message = f"{name} takes one of: {', '.join(choices)}"
            diagnostics.append(Diagnostic("CP1008", message, word.span, hint=did_you_mean(word.text.lower(), choices)))
    return options, diagnostics


def connection_names(options: Mapping[str, Word]) -> list[Word]:
    """Return the connections named in the options of a data source or sink."""
    return [word for option, word in options.items() if option.endswith("_CONNECTION_NAME")]


def build_connection(name: str, tree: ConnectionFile) -> tuple[Connection | None, list[Diagnostic]]:
    """Return a file's connection (None if it has no valid type), and diagnostics."""
    secrets, diagnostics = find_secrets(tree.statements)
    type_ = next((s.argument for s in tree.statements if s.directive == "TYPE"), None)
    if type_ is None:
        end = max(0, len(tree.text.rstrip()) - 1)
        hint = f"add TYPE with one of: {', '.join(CONNECTIONS)}"
        diagnostics.append(Diagnostic("CP1303", "the connection has no TYPE", Span(tree.file, end, end + 1), hint=hint))
        return None, diagnostics
    options = {s.directive: s.argument for s in tree.statements if s.directive not in {"TYPE", "DESCRIPTION", "TAGS"}}
    needs = CONNECTIONS.get(type_.text.lower())
    if needs is None:
        hint = did_you_mean(type_.text, CONNECTIONS) or f"the types are: {', '.join(CONNECTIONS)}"
        message = f"'{type_.text}' is not a type of connection"
        return None, [*diagnostics, Diagnostic("CP1008", message, type_.span, hint=hint)]
    missing = _missing(needs, options)
    if missing:
        message = f"a {type_.text.lower()} connection needs {' and '.join(missing)}"
        diagnostics.append(Diagnostic("CP1303", message, type_.span, hint=f"add {missing[0]} <value>"))
    connection = Connection(
        name, tree.file, type_.span, type_.text.lower(), options, description(tree.statements), tuple(secrets)
    )
    return connection, diagnostics


def _options(statements: Sequence[Statement], prefixes: tuple[str, ...]) -> dict[str, Word]:
    return {s.directive: s.argument for s in statements if s.directive.startswith(prefixes)}


def _incomplete(
    group: _Group, statements: Sequence[Statement], options: Mapping[str, Word], keyword: Span | None = None
) -> list[Diagnostic]:
    """Report the directives that a group lacks, for whichever of its `needs` is closest to complete."""
    sign = next((s.keyword.span for s in statements if s.directive.startswith(group.sign)), keyword)
    if sign is None or not (missing := _missing(group.needs, options)):
        return []
    message = f"{group.what} needs {' and '.join(missing)}"
    return [Diagnostic("CP1303", message, sign, hint=f"add {missing[0]} <value>")]


def _missing(needs: Sequence[Sequence[str]], options: Mapping[str, Word]) -> list[str]:
    lacking = [[name for name in names if name not in options] for names in needs]
    if any(not names for names in lacking):
        return []
    return min(lacking, key=len)


def users_of(project: Project, connection: str) -> tuple[list[str], list[str]]:
    """Return the names of the data sources that read through a connection, and of the pipes that write through it."""

    def names(options: Mapping[str, Word]) -> bool:
        return any(word.text == connection for option, word in options.items() if option.endswith("_CONNECTION_NAME"))

    readers = [source.name for source in project.data_sources.values() if names(source.connector)]
    return readers, [pipe.name for pipe in project.pipes.values() if names(pipe.export)]
