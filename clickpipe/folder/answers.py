"""What ClickHouse said about a project's statements, by a hash of each: `.clickpipe/cache/answers.json`."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from clickpipe.folder.disk import cache_folder, make_folder, replace_file
from clickpipe.folder.state import code_state

_UNUSED_KEPT = 2_000  # of earlier runs: a branch that one comes back to


class AnswerStore:
    """The answers kept for one project folder. Nothing is raised for what the disk does."""

    def __init__(self, root: Path) -> None:
        """Look into the folder's cache; it is made when something is stored."""
        self._path = cache_folder(root) / "answers.json"

    def load(self) -> dict[str, Any]:
        """Return the answers by key: none where they are of other versions, or the file is not as it was written."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            digest, _, body = self._path.read_bytes().partition(b"\n")
            if digest.decode() == _digest(body):
                found = json.loads(body)
                if found["code"] == code_state() and isinstance(found["answers"], dict):
                    return found["answers"]
        return {}

    def store(self, known: Mapping[str, Any], used: Mapping[str, Any]) -> None:
        """Keep the answers of this run, and some that were known before."""
        if used.keys() <= known.keys():
            return
        others = ((key, value) for key, value in known.items() if key not in used)
        answers = {**used, **dict(islice(others, _UNUSED_KEPT))}
        body = json.dumps({"code": code_state(), "answers": answers}).encode()
        with contextlib.suppress(OSError):
            make_folder(self._path.parent)
            replace_file(self._path, _digest(body).encode() + b"\n" + body)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
