"""What a sink has written to its bucket: lists of files, so that half a run is never mistaken for a whole one.

A run that replaces first lists what it is about to write (`begun.json`), then writes, lists what it has written
(`latest.json`), and deletes what that no longer has. Wherever it is cut off, the next run finds all that is left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from clickpipe.connect.outgoing import Outgoing, Sink
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import MANIFESTS, is_file_key


class Manifests:
    """The manifests of one sink. Used by one run at a time; methods raise ClickpipeError."""

    def __init__(self, sink: Sink, outgoing: Outgoing, scratch: Path) -> None:
        """Keep them in the sink's folder; `scratch` is a file to write to."""
        self._sink, self._outgoing, self._scratch = sink, outgoing, scratch
        self._folder = f"{sink.files.names.folder}{MANIFESTS}/{sink.pipe}/"
        self._latest, self._begun = f"{self._folder}latest.json", f"{self._folder}begun.json"
        self._has_begun = False

    def begin(self, keys: Iterable[str]) -> set[str]:
        """Record that a run replaces, and is about to write these files; return all files that earlier runs left."""
        left = self._files(self._latest) | self._files(self._begun)
        listed = [{"key": key} for key in sorted({*keys} | left)]
        self._has_begun = True
        self._outgoing.put(self._begun, json.dumps({"files": listed}).encode())
        return left

    def write(self, job_id: str, files: Mapping[str, Mapping[str, int]], *, replaces: bool) -> None:
        """List the files of a whole run, by key, with their counts."""
        written = {
            "pipe": self._sink.pipe,
            "job_id": job_id,
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "format": self._sink.files.format,
            "compression": self._sink.files.compression,
            "files": [{"key": key, **counts} for key, counts in files.items()],
        }
        key = self._latest if replaces else f"{self._folder}{job_id}.json"
        self._outgoing.put(key, json.dumps(written, indent=1).encode())

    def finish(self, left: Collection[str], files: Collection[str]) -> None:
        """Delete what earlier runs left and this one has not written."""
        for key in sorted({*left} - {*files}):
            self._outgoing.delete(key)
        if self._has_begun:
            self._outgoing.delete(self._begun)

    def _files(self, manifest: str) -> set[str]:
        """Return the files that a manifest lists: of those that others may have added, only what a sink could write."""
        text = self._outgoing.read(manifest, self._scratch)
        try:
            listed = [str(file["key"]) for file in json.loads(text)["files"]] if text is not None else []
        except (ValueError, KeyError, TypeError, RecursionError):
            message = f"{manifest} is not a manifest of a sink: remove it, and the files that it stood for."
            raise ClickpipeError(message, code="bad_manifest") from None
        return {key for key in listed if is_file_key(self._sink.files.names, key)}
