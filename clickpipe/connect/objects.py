"""Lists and fetches the files of a bucket, over S3's HTTP interface.

Through `fetch`, so that the rules for addresses, redirects and time limits are those of `url=`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from clickpipe.connect.access import Door, explain, of_bucket
from clickpipe.connect.bucket import Bucket
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import fetch

_PAGE = 16 << 20  # bytes of a page of a listing: 1,000 keys of at most 1,024 characters
_SECONDS = 60.0  # for a page


@dataclass(frozen=True, slots=True)
class File:
    """A version of a file in a bucket: `version` is its ETag; `size` in bytes."""

    key: str
    version: str
    size: int
    changed: datetime


class Objects:
    """The files of one bucket. Used by one thread at a time."""

    def __init__(self, bucket: Bucket, *, private: bool, limit: int, seconds: float) -> None:
        """Allow addresses that are not public if `private`, and a file `limit` bytes and `seconds`."""
        self.bucket = bucket
        self._private, self._limit, self._seconds = private, limit, seconds
        self._door = Door(bucket.endpoint, bucket.files.bucket, bucket.access)

    def pages(self, scratch: Path) -> Iterator[list[File]]:
        """Yield the bucket's matching files, a page of its listing at a time; `scratch` is a file to write to.

        Raises ClickpipeError if the bucket cannot be listed.
        """
        parameters = {"list-type": "2", "encoding-type": "url", "prefix": self.bucket.files.prefix}
        try:
            while True:
                self._fetch("", parameters, {}, scratch, _PAGE, _SECONDS, lambda _: None)
                files, following = _read(scratch.read_bytes())
                yield [file for file in files if self._is_wanted(file)]
                if not following:
                    return
                if following == parameters.get("continuation-token"):
                    message = "The bucket's listing has no end: it sent the same page again."
                    raise ClickpipeError(message, code="not_s3")
                parameters["continuation-token"] = following
        finally:
            scratch.unlink(missing_ok=True)

    def fetch(self, file: File, into: Path, progress: Callable[[int], None]) -> str:
        """Download exactly this version of a file; return its Content-Encoding. Raises ClickpipeError."""
        asked = {"If-Match": file.version}
        return self._fetch(file.key, {}, asked, into, self._limit, self._seconds, progress)

    def _fetch(
        self,
        key: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        into: Path,
        limit: int,
        seconds: float,
        progress: Callable[[int], None],
    ) -> str:
        url, headers = self._door.signed("GET", key, parameters, headers)
        try:
            return fetch(
                url,
                into,
                private=self._private,
                limit=limit,
                progress=progress,
                seconds=seconds,
                headers=headers,
                explain=explain,
                redirects=0,
            )
        except ClickpipeError as error:
            raise of_bucket(error) from None

    def _is_wanted(self, file: File) -> bool:
        if file.key.endswith("/"):  # stands for a folder
            return False
        late = self.bucket.since is None or file.changed >= self.bucket.since
        return late and self.bucket.files.match(file.key)


def _read(page: bytes) -> tuple[list[File], str]:
    """Return the files of a page of a listing, and the token of the next page ('' if it is the last)."""
    try:
        root = ET.fromstring(b"" if b"<!" in page else page)  # noqa: S314 - without declarations, nothing expands
        encoded = root.findtext("{*}EncodingType") == "url"
        found = [_file(each, encoded=encoded) for each in root.iterfind("{*}Contents")]
        whole = (root.findtext("{*}IsTruncated") or "false") != "true"
        return found, "" if whole else root.findtext("{*}NextContinuationToken") or ""
    except (ET.ParseError, ValueError):
        message = "The bucket's address does not answer as S3 does."
        raise ClickpipeError(message, code="not_s3") from None


def _file(contents: ET.Element, *, encoded: bool) -> File:
    def text(name: str) -> str:
        if (found := contents.findtext(f"{{*}}{name}")) is None:
            raise ValueError
        return found

    key, changed = text("Key"), datetime.fromisoformat(text("LastModified"))
    return File(unquote_plus(key) if encoded else key, text("ETag"), int(text("Size")), changed)
