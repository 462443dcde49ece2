"""A sink that writes files to a bucket: its options, and the names that its files get."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clickpipe.diagnostics import ClickpipeError, Word
from clickpipe.project.bucket import SCHEMES
from clickpipe.project.common import is_cron
from clickpipe.project.model import Connection, Pipe
from clickpipe.project.sink_topic import is_topic_sink, topic_obstacle

JOB_ID = "job_id"
MANIFESTS = "_manifests"  # the folder of manifests, in that of a sink's files
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST = 1_024  # bytes of a key
_URI = re.compile(r"(?P<scheme>s3|gs|gcs)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,221})(?:/(?P<folder>.*))?", re.DOTALL)
_PART = re.compile(r"\{(?P<inner>[^{}]*)\}|(?P<text>[^{}]+)|(?P<odd>[{}])")
_COLUMN = re.compile(r"""\s*(?P<name>[A-Za-z_][\w.]*)\s*(?:,\s*(?P<quote>['"])(?P<format>[^'"]*)(?P=quote)\s*)?""")
_MOST_FILES = 1_000  # that `{8}` may stand for
_ENDINGS = {"gz": ".gz", "gzip": ".gz", "none": "", "snappy": ""}
_COMPRESSIONS = {
    "csv": ("none", "gz", "gzip"),
    "ndjson": ("none", "gz", "gzip"),
    "parquet": ("none", "gz", "gzip", "snappy"),
}
_REPLACING = {"replace", "truncate"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column's value in a file's name; `format` is for times, as in ClickHouse's formatDateTime, '' for none."""

    name: str
    format: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """Rows are spread over so many files, numbered from 0."""

    files: int


@dataclass(frozen=True, slots=True)
class JobId:
    """The id of a run."""


NamePart = str | Column | Spread | JobId


@dataclass(frozen=True, slots=True)
class FileNames:
    """Where a sink's files are: in `folder` of `bucket` (it ends with / or is empty), with names made of `parts`.

    `ending` are the extensions of format and compression.
    """

    bucket: str
    folder: str
    parts: tuple[NamePart, ...]
    ending: str


@dataclass(frozen=True, slots=True)
class SinkFiles:
    """What files a sink writes: csv, ndjson or parquet; `replaces` if each run replaces the files of the last."""

    names: FileNames
    format: str
    compression: str
    replaces: bool


def file_key(names: FileNames, name: str, number: int = 0) -> str:
    """Return the key of a file; `number` tells it from others of the same name, 0 is the first.

    Values in a name come from rows, so from whoever sends events: none leads out of the sink's folder or to its
    manifests, and a name that is too long ends with a digest of it.
    """
    ending = f"{f'.{number}' if number else ''}{names.ending}"
    parts = ["_" if part in {"", ".", ".."} else part for part in _CONTROL.sub("_", name).split("/")]
    if parts[0] == MANIFESTS:
        parts[0] = f"_{MANIFESTS}"
    safe, room = "/".join(parts), _LONGEST - len(f"{names.folder}{ending}".encode())
    if len(safe.encode()) > room:
        digest = hashlib.sha256(safe.encode()).hexdigest()[:16]
        safe = f"{safe.encode()[: room - 17].decode(errors='ignore')}-{digest}"
    return f"{names.folder}{safe}{ending}"


def is_file_key(names: FileNames, key: str) -> bool:
    """Return whether a sink may have written a file of this key, now or when its format was another.

    It is in the sink's folder, also for who takes `..` for the folder above, and no manifest.
    """
    name = key.removeprefix(names.folder)
    ends = name.removesuffix(".gz").endswith(tuple(f".{format_}" for format_ in _COMPRESSIONS))
    return key.startswith(names.folder) and ends and file_key(FileNames("", "", (), ""), name) == name


def name_problem(part: Column, known: Mapping[str, str]) -> str:
    """Return what is wrong with a column in a file's name, '' if nothing; `known` are the query's columns and types."""
    if part.name not in known:
        return f"EXPORT_FILE_TEMPLATE names the column '{part.name}', but the query returns {', '.join(known)}"
    if part.format and "Date" not in known[part.name]:
        return f"EXPORT_FILE_TEMPLATE has a format for '{part.name}', which is {known[part.name]} and not a time"
    return ""


def is_file_sink(export: Mapping[str, Word]) -> bool:
    """Return whether a sink with these options writes to a bucket."""
    return "EXPORT_BUCKET_URI" in export


def sink_schedule(pipe: Pipe) -> str:
    """Return the cron expression (UTC) of a sink, '' if it runs on demand."""
    schedule = pipe.export.get("EXPORT_SCHEDULE")
    return schedule.text if schedule is not None and is_cron(schedule.text) else ""


def options_of_sink(pipe: Pipe, connections: Mapping[str, Connection]) -> dict[str, str]:
    """Return the EXPORT_* options of a sink with the options of its connection."""
    named = pipe.export.get("EXPORT_CONNECTION_NAME")
    connection = connections.get(named.text) if named is not None else None
    words = {**(connection.options if connection else {}), **pipe.export}
    return {name: word.text for name, word in words.items()}


def sink_obstacle(pipe: Pipe, connections: Mapping[str, Connection]) -> tuple[Word, str] | None:
    """Return the line that keeps a sink from running, and why; None if nothing does."""
    export = pipe.export
    if not export:
        return None  # an error already
    if is_topic_sink(export):
        return topic_obstacle(pipe, connections)
    for needed in ("EXPORT_BUCKET_URI", "EXPORT_FILE_TEMPLATE", "EXPORT_CONNECTION_NAME"):
        if needed not in export:
            return next(iter(export.values())), f"there is no {needed}"
    found = _connection(pipe, connections)
    named = export["EXPORT_CONNECTION_NAME"]
    if found is None:
        return named, f"'{named.text}' is not a connection to S3 or GCS"
    if found.type == "s3" and "S3_ACCESS_KEY" not in found.options:
        return named, "S3_ARN is not built yet: use S3_ACCESS_KEY and S3_SECRET"
    uri = export["EXPORT_BUCKET_URI"]
    if uri.text.strip().partition("://")[0] not in SCHEMES[found.type]:
        what = found.type.upper()
        return uri, f"'{found.name}' is a connection to {what}, so the address begins with {SCHEMES[found.type][0]}://"
    return _wrong_line(export)


def _wrong_line(export: Mapping[str, Word]) -> tuple[Word, str] | None:
    """Return the line whose value is wrong, and why."""
    for name, check in (("EXPORT_BUCKET_URI", _place), ("EXPORT_FILE_TEMPLATE", name_parts)):
        try:
            tuple(check(export[name].text))
        except ClickpipeError as error:
            return export[name], error.message
    try:
        sink_files({name: word.text for name, word in export.items()})
    except ClickpipeError as error:
        return export.get("EXPORT_COMPRESSION", export["EXPORT_BUCKET_URI"]), error.message
    return None


def sink_files(options: Mapping[str, str]) -> SinkFiles:
    """Return what files a sink writes. Raises ClickpipeError 400."""
    format_ = options.get("EXPORT_FORMAT", "csv").lower()
    compression = options.get("EXPORT_COMPRESSION", "").lower() or ("snappy" if format_ == "parquet" else "none")
    if format_ not in _COMPRESSIONS:
        message = f"EXPORT_FORMAT takes {', '.join(_COMPRESSIONS)}, not {format_}"
        raise ClickpipeError(message, code="bad_sink")
    allowed = _COMPRESSIONS[format_]
    if compression not in allowed:
        message = f"EXPORT_COMPRESSION takes {', '.join(allowed)} for {format_}, not {compression}"
        raise ClickpipeError(message, code="bad_sink")
    bucket, folder = _place(options["EXPORT_BUCKET_URI"])
    ending = f".{format_}{'' if format_ == 'parquet' else _ENDINGS[compression]}"
    strategies = (options.get("EXPORT_STRATEGY", ""), options.get("EXPORT_WRITE_STRATEGY", ""))
    replaces = any(one.lower().strip("@\"' ") in _REPLACING for one in strategies)
    names = FileNames(bucket, folder, tuple(name_parts(options["EXPORT_FILE_TEMPLATE"])), ending)
    return SinkFiles(names, format_, compression, replaces)


def name_parts(template: str) -> Iterator[NamePart]:
    """Yield the parts of a template for files' names, such as `{country}/{date, '%Y-%m'}_{4}`.

    Braces hold a column, a column with a format of times, a number of files, or `job_id`. Raises ClickpipeError 400.
    """
    template = template.strip().strip("\"'").lstrip("/")
    if not template:
        message = "EXPORT_FILE_TEMPLATE is empty"
        raise ClickpipeError(message, code="bad_sink")
    for part in _PART.finditer(template):
        if part["text"] is not None:
            yield part["text"]
            continue
        inner = (part["inner"] or "").strip()
        if inner.isdecimal() and 0 < int(inner[:9]) <= _MOST_FILES:
            yield Spread(int(inner))
        elif inner == JOB_ID:
            yield JobId()
        elif part["odd"] is None and (column := _COLUMN.fullmatch(inner)) is not None:
            yield Column(column["name"], column["format"] or "")
        else:
            known = f"a column, {{column, '%Y-%m-%d'}}, {{8}} (up to {_MOST_FILES} files) or {{job_id}}"
            message = f"{part[0]} is no part of a name: it takes {known}"
            raise ClickpipeError(message, code="bad_sink")


def _place(uri: str) -> tuple[str, str]:
    """Return the bucket and the folder that an address names. Raises ClickpipeError 400."""
    match = _URI.fullmatch(uri.strip())
    if match is None or len(uri) > _LONGEST // 2:
        message = "an address names a bucket, and a folder in it: s3://bucket/folder"
        raise ClickpipeError(message, code="bad_sink")
    folder = (match["folder"] or "").strip("/")
    return match["bucket"], f"{folder}/" if folder else ""


def _connection(pipe: Pipe, connections: Mapping[str, Connection]) -> Connection | None:
    named = pipe.export.get("EXPORT_CONNECTION_NAME")
    found = connections.get(named.text) if named is not None else None
    return found if found is not None and found.type in SCHEMES else None
