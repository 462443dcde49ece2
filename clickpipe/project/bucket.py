"""A data source that imports files from a bucket: its options, those of its connection, and which files it wants."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from clickpipe.diagnostics import ClickpipeError, Word
from clickpipe.project.common import is_cron
from clickpipe.project.model import Connection, DataSource

ON_DEMAND, ONCE, AUTO = "@on-demand", "@once", "@auto"
_URI = re.compile(r"(?P<scheme>s3|gs|gcs)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,221})/(?P<path>.+)", re.DOTALL)
SCHEMES = {"s3": ("s3",), "gcs": ("gs", "gcs")}
_PIECE = re.compile(r"\*\*|\*|\?|\{(?P<first>\d{1,9})\.\.(?P<last>\d{1,9})\}|\{(?P<any>[^{}]*)\}|[^*?{]+|\{")
_MOST_TEXTS, _LONGEST = 1_000, 1_024


class Wild(StrEnum):
    """What stands for any characters: `*` and `?` within a folder, `**` also across folders."""

    MANY = "*"
    ONE = "?"
    ANY = "**"


Piece = Wild | tuple[str, ...]  # a tuple: one of these texts


@dataclass(frozen=True, slots=True)
class Files:
    """Which files of a bucket: those below the folder `prefix` (ends with / or is empty) whose keys match `pieces`."""

    bucket: str
    prefix: str
    pieces: tuple[Piece, ...]

    def match(self, key: str) -> bool:
        """Return whether a key matches. Takes steps for each piece, and for each place where one of its texts is."""
        inside = sum(1 << at for at, letter in enumerate(key) if letter != "/")
        places = 1  # up to which the pieces so far may reach: a bit for each
        known: dict[str, int] = {}
        for piece in self.pieces:
            if not places:
                return False
            if isinstance(piece, tuple):
                places = _after_texts(piece, key, places, known)
            else:
                places = _after(piece, len(key), places, inside)
        return bool(places >> len(key) & 1)


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
    if scheme in SCHEMES[connection.type]:
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
    return Files(match["bucket"], literal.rpartition("/")[0] + "/" if "/" in literal else "", tuple(_pieces(path)))


def _after(piece: Wild, length: int, places: int, inside: int) -> int:
    """Return the places in a key that a piece may reach from others; `inside` are those of all letters but `/`.

    Whole numbers are sets of places, so a piece takes a few operations for all places at once.
    """
    if piece is Wild.ANY:
        return (1 << length + 1) - (places & -places)
    if piece is Wild.ONE:
        return (places & inside) << 1
    return places | (((places & inside) + inside) ^ inside)  # adding carries a place on through a folder, to its end


def _after_texts(texts: tuple[str, ...], key: str, places: int, known: dict[str, int]) -> int:
    """Return the places behind one of these texts; `known` has where each text is, as far as it was looked for."""
    found = 0
    for text in texts:
        if text not in known:
            known[text] = _where(text, key)
        found |= (places & known[text]) << len(text)
    return found


def _where(text: str, key: str) -> int:
    """Return the places in a key where a text begins."""
    if not text:
        return (1 << len(key) + 1) - 1
    found, at = 0, key.find(text)
    while at >= 0:
        found |= 1 << at
        at = key.find(text, at + 1)
    return found


def _pieces(path: str) -> Iterator[Piece]:
    """Yield the pieces of a path. Raises ClickpipeError 400."""
    left = _MOST_TEXTS
    for piece in _PIECE.finditer(path):
        text = piece[0]
        if text in {"*", "**", "?"}:
            yield Wild(text)
        elif text[0] == "{" and text != "{":
            texts = _one_of(piece)
            left -= len(texts)
            if left < 0:
                message = f"its braces stand for more than {_MOST_TEXTS} texts"
                raise ClickpipeError(message, code="bad_bucket_uri")
            yield texts
        else:
            yield (text,)


def _one_of(piece: re.Match[str]) -> tuple[str, ...]:
    if piece["any"] is not None:
        return tuple(piece["any"].split(","))
    first, last = int(piece["first"]), int(piece["last"])
    if last - first >= _MOST_TEXTS or last < first:
        message = f"{piece[0]} is no range of up to {_MOST_TEXTS} numbers, from the smaller to the larger"
        raise ClickpipeError(message, code="bad_bucket_uri")
    width = len(piece["first"]) if piece["first"].startswith("0") else 0
    return tuple(str(n).zfill(width) for n in range(first, last + 1))


def _connection(source: DataSource, connections: Mapping[str, Connection]) -> Connection | None:
    named = source.connector.get("IMPORT_CONNECTION_NAME")
    found = connections.get(named.text) if named is not None else None
    return found if found is not None and found.type in SCHEMES else None
