"""Reads the pages of a bucket's listing, which whoever answers at its address may have written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from clickpipe.diagnostics import ClickpipeError

PAGE = 8 << 20  # bytes: 1,000 keys of at most 1,024 bytes, each of which may take three
_MOST_FILES, _DEEPEST = 10_000, 16  # of a page; elements within elements
_LONGEST = 1_024  # characters of a key or an ETag
_OF_FILE = ("Key", "LastModified", "ETag", "Size")
_OF_PAGE = ("EncodingType", "IsTruncated", "NextContinuationToken")


@dataclass(frozen=True, slots=True)
class File:
    """A version of a file in a bucket: `version` is its ETag; `size` in bytes."""

    key: str
    version: str
    size: int
    changed: datetime


def read_page(page: bytes) -> tuple[list[File], str]:
    """Return the files of a page, and the token of the next page ('' if it is the last).

    Takes memory for what is returned only. Raises ClickpipeError if it is no page of a listing.
    """
    try:
        about, files = _Reader.read(page.decode())  # another encoding could hide a declaration
        encoded = about.get("EncodingType") == "url"
        found = [_file(each, encoded=encoded) for each in files]
    except (ET.ParseError, ValueError, KeyError, OverflowError):
        message = "The bucket's address does not answer as S3 does."
        raise ClickpipeError(message, code="not_s3") from None
    return found, about.get("NextContinuationToken", "") if about.get("IsTruncated") == "true" else ""


class _Reader:
    """Keeps the texts that are wanted, and of nothing else anything."""

    def __init__(self) -> None:
        self._depth = 0
        self._file: dict[str, str] | None = None
        self._text: list[str] | None = None
        self._about: dict[str, str] = {}
        self._files: list[dict[str, str]] = []

    @staticmethod
    def read(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
        """Return the texts about a page, and those of its files. Raises ParseError, ValueError."""
        if "<!" in text:  # without declarations, nothing expands
            raise ValueError
        reader = _Reader()
        parser = ET.XMLParser(target=reader)  # noqa: S314 - without declarations
        parser.feed(text)
        parser.close()
        return reader._about, reader._files

    def start(self, tag: str, _: object) -> None:
        name = tag.rpartition("}")[2]
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError
        self._text = None
        if self._depth == 2 and name == "Contents":  # noqa: PLR2004 - in the root
            if len(self._files) >= _MOST_FILES:
                raise ValueError
            self._file = {}
        elif (self._depth == 2 and name in _OF_PAGE) or (self._depth == 3 and self._file is not None):  # noqa: PLR2004
            self._text = [] if name in _OF_PAGE or name in _OF_FILE else None

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        if self._text is not None:
            (self._about if self._file is None else self._file).setdefault(name, "".join(self._text))
            self._text = None
        if self._depth == 2 and self._file is not None:  # noqa: PLR2004
            self._files.append(self._file)
            self._file = None
        self._depth -= 1

    def close(self) -> None:
        """Return nothing: the parser asks for it."""


def _file(texts: dict[str, str], *, encoded: bool) -> File:
    """Return a file. Raises KeyError, ValueError."""
    key, version = unquote_plus(texts["Key"]) if encoded else texts["Key"], texts["ETag"]
    if max(len(key), len(version)) > _LONGEST or not version.isascii() or not version.isprintable():
        raise ValueError
    changed = datetime.fromisoformat(texts["LastModified"])
    changed = changed.astimezone(UTC) if changed.tzinfo else changed.replace(tzinfo=UTC)
    return File(key, version, int(texts["Size"]), changed)
