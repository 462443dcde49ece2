"""Stores the last check's results for each file: `.clickpipe/cache/files.json`."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clickpipe.diagnostics import Diagnostic
from clickpipe.folder.cache import decode_diagnostic, encode_diagnostic
from clickpipe.folder.disk import cache_folder, make_folder, replace_file
from clickpipe.folder.seal import is_sealed, seal
from clickpipe.folder.state import code_state

_WHAT = b"records of files"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A checked file: the digest of its text, the names it defines and reads, the texts it includes."""

    digest: str
    defines: tuple[str, ...]
    reads: tuple[str, ...]
    includes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """A folder's files by relative path, all their diagnostics, and the key of the rules they were checked by."""

    files: Mapping[str, FileRecord]
    diagnostics: tuple[Diagnostic, ...]
    rules: str = ""


class RecordStore:
    """The stored records of one project folder. Errors of the file system are never raised."""

    def __init__(self, root: Path) -> None:
        """Use the folder's cache, which is created on the first `store`."""
        self._path = cache_folder(root) / "files.json"

    def load(self) -> Records | None:
        """Return the records; None if they are from other versions, or the file is damaged."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            digest, _, body = self._path.read_bytes().partition(b"\n")
            if is_sealed(digest.decode(), _WHAT, body):
                data = json.loads(body)
                if data["code"] == code_state():
                    files = {name: FileRecord(r[0], *map(tuple, r[1:])) for name, r in data["files"].items()}
                    return Records(files, tuple(map(decode_diagnostic, data["diagnostics"])), str(data["rules"]))
        return None

    def store(self, records: Records) -> None:
        """Replace the stored records."""
        data = {
            "code": code_state(),
            "rules": records.rules,
            "files": {name: [r.digest, r.defines, r.reads, r.includes] for name, r in records.files.items()},
            "diagnostics": [encode_diagnostic(d) for d in records.diagnostics],
        }
        body = json.dumps(data).encode()
        with contextlib.suppress(OSError):
            sealed = seal(_WHAT, body).encode()
            make_folder(self._path.parent)
            replace_file(self._path, sealed + b"\n" + body)


def text_digest(text: bytes) -> str:
    """Return a digest of a text."""
    return hashlib.sha256(text).hexdigest()
