"""Writes the files of sinks to a bucket, over S3's HTTP interface."""

from __future__ import annotations

import http
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clickpipe.catalog import Live
from clickpipe.compiler import SinkPipe
from clickpipe.connect.access import Access, Door, access_of, explain, of_bucket
from clickpipe.connect.brokers import Brokers, brokers_of
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.ingest import fetch, send
from clickpipe.jobs import Report
from clickpipe.project import SinkFiles, fill_secrets, is_topic_sink, options_of_sink, sink_files, sink_obstacle

_LARGEST = 5_000_000_000  # bytes of a file that S3 takes in one request
_SECONDS = 60.0  # for requests without a file
_SMALL = 10 << 20  # bytes of a manifest


@dataclass(frozen=True, slots=True)
class Sink:
    """Where a sink writes its files; `service` is s3, or gcs. Secrets are filled in."""

    pipe: str
    service: str
    files: SinkFiles
    endpoint: str
    access: Access = field(repr=False)


@dataclass(frozen=True, slots=True)
class TopicSink:
    """The topic that a sink sends its rows to. Secrets are filled in."""

    pipe: str
    topic: str
    brokers: Brokers
    service: str = "kafka"


def require_sink(live: Live, pipe: str) -> SinkPipe:
    """Return a sink. Raises ClickpipeError 404 if there is none of this name."""
    found = live.compiled.sinks.get(pipe)
    if found is None:
        known = [("PIPES", name) for name in live.compiled.sinks]
        message = f"The pipe '{pipe}' is not a sink that runs"
        raise UnknownResource(message, pipe, known, status=404, code="not_found")
    return found


def sink_of(live: Live, pipe: str, secret: Callable[[str], str | None]) -> Sink | TopicSink:
    """Return where a sink's rows go. Raises ClickpipeError: 404 if there is no such sink, 400 if it cannot run."""
    found = require_sink(live, pipe)
    connections = live.compiled.project.connections
    if (obstacle := sink_obstacle(found.pipe, connections)) is not None:
        message = f"The sink '{pipe}' cannot run: {obstacle[1]}."
        raise ClickpipeError(message, code="bad_sink")
    options = options_of_sink(found.pipe, connections)
    filled = {name: fill_secrets(text, secret).strip() for name, text in options.items()}
    if is_topic_sink(found.pipe.export):
        return TopicSink(pipe, filled["EXPORT_KAFKA_TOPIC"], brokers_of(options, filled))
    endpoint, access = access_of(filled)
    service = connections[filled["EXPORT_CONNECTION_NAME"]].type
    return Sink(pipe, service, sink_files(filled), endpoint, access)


class Outgoing:
    """The bucket of a sink, to write to. Used by one thread at a time; methods raise ClickpipeError."""

    def __init__(self, sink: Sink, report: Report, *, private: bool, seconds: float) -> None:
        """Allow addresses that are not public if `private`, and a file `seconds`.

        While something is under way, `report` is asked about twice a second whether the job goes on.
        """
        self._report = report
        self._door = Door(sink.endpoint, sink.files.names.bucket, sink.access, writes=True)
        self._private, self._seconds = private, seconds

    def put(self, key: str, body: Path | bytes) -> None:
        """Write a file, or replace it: whole or not at all."""
        if isinstance(body, Path) and body.stat().st_size > _LARGEST:
            message = f"The file {key} is larger than {_LARGEST} bytes: have it split, with a number such as {{8}}."
            raise ClickpipeError(message, status=413, code="file_too_large")
        self._send("PUT", key, body)

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        try:
            return self._send("HEAD", key) != http.HTTPStatus.NOT_FOUND
        except ClickpipeError as error:
            if "status 403" not in error.message:
                raise
            message = f"{error.message} The key must be allowed to read files and to list the bucket."
            raise ClickpipeError(message, status=error.status, code=error.code) from None

    def delete(self, key: str) -> None:
        """Delete a file; a missing one is fine."""
        self._send("DELETE", key)

    def read(self, key: str, scratch: Path) -> bytes | None:
        """Return a small file, None if there is none; `scratch` is a file to write to."""
        return self._get(key, {}, scratch) if self.exists(key) else None

    def list_some(self, scratch: Path) -> None:
        """Ask for the bucket's listing, to see whether it answers and takes the keys; `scratch` as for `read`."""
        self._get("", {"list-type": "2", "max-keys": "1"}, scratch)

    def _get(self, key: str, parameters: Mapping[str, str], scratch: Path) -> bytes:
        url, headers = self._door.signed("GET", key, parameters, {})
        try:
            fetch(
                url,
                scratch,
                private=self._private,
                limit=_SMALL,
                progress=lambda _: None,
                seconds=_SECONDS,
                headers=headers,
                explain=explain,
                redirects=0,
                check=self._report.check,
            )
            return scratch.read_bytes()
        except ClickpipeError as error:
            raise of_bucket(error) from None
        finally:
            scratch.unlink(missing_ok=True)

    def _send(self, method: str, key: str, body: Path | bytes = b"") -> int:
        url, headers = self._door.signed(method, key, {}, {})
        seconds = self._seconds if body else _SECONDS
        try:
            status = send(
                method,
                url,
                private=self._private,
                seconds=seconds,
                headers=headers,
                body=body,
                explain=explain,
                check=self._report.check,
            )
        except ClickpipeError as error:
            raise of_bucket(error) from None
        if status == http.HTTPStatus.NOT_FOUND and method == "PUT":
            message = "The bucket cannot be written to: there is no such bucket."
            raise ClickpipeError(message, code="fetch_failed")
        return status
