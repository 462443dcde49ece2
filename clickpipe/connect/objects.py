"""Lists and fetches the files of a bucket, over S3's HTTP interface.

Through `fetch`, so that the rules for addresses, redirects and time limits are those of `url=`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from clickpipe.connect.access import Door, explain, of_bucket
from clickpipe.connect.bucket import Bucket
from clickpipe.connect.listing import PAGE, File, read_page
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import fetch

_SECONDS = 60.0  # for a page


class Objects:
    """The files of one bucket. Used by one thread at a time."""

    def __init__(self, bucket: Bucket, *, private: bool, limit: int, seconds: float) -> None:
        """Allow addresses that are not public if `private`, and a file `limit` bytes and `seconds`."""
        self.bucket = bucket
        self._private, self._limit, self._seconds = private, limit, seconds
        self._door = Door(bucket.endpoint, bucket.files.bucket, bucket.access)

    def pages(self, scratch: Path, check: Callable[[], None] = lambda: None) -> Iterator[list[File]]:
        """Yield the bucket's matching files, a page of its listing at a time; `scratch` is a file to write to.

        `check` is called about twice a second, and may raise. Raises ClickpipeError if the bucket cannot be listed, or
        if that takes longer than one file may.
        """
        parameters = {"list-type": "2", "encoding-type": "url", "prefix": self.bucket.files.prefix}
        until = time.monotonic() + self._seconds

        def go_on() -> None:
            check()
            if time.monotonic() > until:
                message = "The bucket's listing takes too long: see the setting import_max_seconds."
                raise ClickpipeError(message, status=408, code="fetch_too_slow")

        try:
            while True:
                go_on()
                self._fetch("", parameters, {}, scratch, PAGE, _SECONDS, lambda _: None, go_on)
                files, following = read_page(scratch.read_bytes())
                yield [file for file in files if self._is_wanted(file, go_on)]
                if not following:
                    return
                if following == parameters.get("continuation-token"):
                    message = "The bucket's listing has no end: it sent the same page again."
                    raise ClickpipeError(message, code="not_s3")
                parameters["continuation-token"] = following
        finally:
            scratch.unlink(missing_ok=True)

    def fetch(
        self, file: File, into: Path, progress: Callable[[int], None], check: Callable[[], None] = lambda: None
    ) -> str:
        """Download exactly this version of a file; return its Content-Encoding.

        `progress` is called with the bytes so far, `check` about twice a second; both may raise. Raises ClickpipeError.
        """
        asked = {"If-Match": file.version}
        return self._fetch(file.key, {}, asked, into, self._limit, self._seconds, progress, check)

    def _fetch(
        self,
        key: str,
        parameters: Mapping[str, str],
        headers: Mapping[str, str],
        into: Path,
        limit: int,
        seconds: float,
        progress: Callable[[int], None],
        check: Callable[[], None],
    ) -> str:
        url, headers = self._door.signed("GET", key, parameters, headers)
        try:
            return fetch(
                url,
                into,
                private=self._private,
                limit=limit,
                progress=progress,
                check=check,
                seconds=seconds,
                headers=headers,
                explain=explain,
                redirects=0,
            )
        except ClickpipeError as error:
            raise of_bucket(error) from None

    def _is_wanted(self, file: File, check: Callable[[], None]) -> bool:
        check()  # a pattern with many wildcards takes its time for a long key
        if file.key.endswith("/"):  # stands for a folder
            return False
        late = self.bucket.since is None or file.changed >= self.bucket.since
        return late and self.bucket.files.match(file.key)
