"""A data source that imports files from a bucket: its options, those of its connection, and which files it wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from clickpipe.diagnostics import ClickpipeError, Word
from clickpipe.project.common import is_cron
from clickpipe.project.model import Connection, DataSource

ON_DEMAND, ONCE, AUTO = "@on-demand", "@once", "@auto"
_URI = re.compile(r"(?P<scheme>s3|gs|gcs)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,221})/(?P<path>.+)", re.DOTALL)
_SCHEMES = {"s3": ("s3",), "gcs": ("gs", "gcs")}
_PIECE = re.compile(r"\*\*|\*|\?|\{(?P<first>\d{1,9})\.\.(?P<last>\d{1,9})\}|\{(?P<any>[^{}]*)\}|[^*?{]+|\{")
_MOST_NUMBERS, _MOST_ANY, _LONGEST = 1_000, 2, 1_024


@dataclass(frozen=True, slots=True)
class Files:
    """Which files of a bucket: those below the folder `prefix` (ends with / or is empty) whose keys match."""

    bucket: str
    prefix: str
    keys: re.Pattern[str]


def is_bucket(connector: Mapping[str, Word]) -> bool:
    """Return whether a data source with these options imports files from a bucket."""
    return "IMPORT_BUCKET_URI" in connector


def bucket_options(source: DataSource, connections: Mapping[str, Connection]) -> dict[str, str]:
    """Return the IMPORT_* options of a data source with the options of its connection."""
    connection = _connection(source, connections)
    words = {**(connection.options if connection else {}), **source.connector}
    return {name: word.text for name, word in words.items()}


def bucket_obstacle(source: DataSource, connections: Mapping[str, Connection]) -> tuple[Word, str] | None:
    """Return the line that keeps a data source from importing its files, and why; None if nothing does."""
    options = source.connector
    uri = options["IMPORT_BUCKET_URI"]
    named = options.get("IMPORT_CONNECTION_NAME")
    if named is None:
        return uri, "there is no IMPORT_CONNECTION_NAME"
    found = _connection(source, connections)
    if found is None:
        return named, f"'{named.text}' is not a connection to S3 or GCS"
    if "{{" not in uri.text and (wrong := _wrong(uri.text, found)):
        return uri, wrong
    if "IMPORT_FROM_TIMESTAMP" in options and since(options["IMPORT_FROM_TIMESTAMP"].text) is None:
        return options["IMPORT_FROM_TIMESTAMP"], "it needs a time such as 2026-01-31T00:00:00Z"
    if found.type == "s3" and "S3_ACCESS_KEY" not in found.options:
        return named, "S3_ARN is not built yet: use S3_ACCESS_KEY and S3_SECRET"
    return None


def _wrong(uri: str, connection: Connection) -> str:
    """Return what is wrong with an address, or ''."""
    try:
        files_of(uri)
    except ClickpipeError as error:
        return error.message
    scheme = uri.strip().partition("://")[0]
    if scheme in _SCHEMES[connection.type]:
        return ""
    return f"'{connection.name}' is a connection to {connection.type.upper()}, and the address begins with {scheme}://"


def is_bucket_schedule(text: str) -> bool:
    """Return whether this is a schedule of imports: @once, @on-demand, @auto, or cron."""
    return text in {ONCE, ON_DEMAND, AUTO} or is_cron(text)


def since(text: str) -> datetime | None:
    """Return the time that an IMPORT_FROM_TIMESTAMP names, in UTC unless it says otherwise; None if it names none."""
    try:
        found = datetime.fromisoformat(text.strip().strip("\"'"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def files_of(uri: str) -> Files:
    """Return the files that an address with wildcards names, such as `s3://bucket/in/**/*.csv`.

    `*` and `?` stand for any characters, or one, within a folder; `**` for any characters with folders; `{a,b}` and
    `{1..9}` for one of several. An address that ends with / names all files in that folder. Raises ClickpipeError 400.
    """
    match = _URI.fullmatch(uri.strip())
    if match is None:
        message = "an address begins with s3://bucket/ or gs://bucket/, and names files: s3://bucket/in/*.csv"
        raise ClickpipeError(message, code="bad_bucket_uri")
    path = match["path"] + ("*" if match["path"].endswith("/") else "")
    if len(path) > _LONGEST:
        message = f"it is longer than {_LONGEST} characters"
        raise ClickpipeError(message, code="bad_bucket_uri")
    literal = re.split(r"[*?{]", path, maxsplit=1)[0]
    return Files(match["bucket"], literal.rpartition("/")[0] + "/" if "/" in literal else "", _pattern(path))


def _pattern(path: str) -> re.Pattern[str]:
    """Return a pattern for keys, whose time is at most quadratic.

    What follows a `*` is looked for once: `*` cannot leave its folder, so its first place is as good as any other.
    """
    parts, group, wild = [""], False, 0
    for piece in _PIECE.finditer(path):
        text = piece[0]
        if text in {"*", "**"}:
            parts[-1] += ")" if group else ""
            group = text == "*"
            wild += not group
            parts.append("(?>[^/]*?" if group else ".*?")
        elif text == "?":
            parts[-1] += "[^/]"
        elif text[0] == "{" and text != "{":
            parts[-1] += _one_of(piece)
        else:
            parts[-1] += re.escape(text)
    if wild > _MOST_ANY:
        message = f"** may be in it {_MOST_ANY} times"
        raise ClickpipeError(message, code="bad_bucket_uri")
    parts[-1] += r"\Z)" if group else r"\Z"
    return re.compile("".join(parts), re.DOTALL)


def _one_of(piece: re.Match[str]) -> str:
    if "/" in piece[0]:
        message = f"{piece[0]} cannot hold a /"
        raise ClickpipeError(message, code="bad_bucket_uri")
    if piece["any"] is not None:
        return f"(?:{'|'.join(map(re.escape, piece['any'].split(',')))})"
    first, last = int(piece["first"]), int(piece["last"])
    if last - first >= _MOST_NUMBERS or last < first:
        message = f"{piece[0]} is no range of up to {_MOST_NUMBERS} numbers, from the smaller to the larger"
        raise ClickpipeError(message, code="bad_bucket_uri")
    width = len(piece["first"]) if piece["first"].startswith("0") else 0
    return f"(?:{'|'.join(str(n).zfill(width) for n in range(first, last + 1))})"


def _connection(source: DataSource, connections: Mapping[str, Connection]) -> Connection | None:
    named = source.connector.get("IMPORT_CONNECTION_NAME")
    found = connections.get(named.text) if named is not None else None
    return found if found is not None and found.type in _SCHEMES else None
