"""Caches check results by folder state, in `.clickpipe/cache` of the project.

`index.json` lists the entries, newest first, with the digest of each payload file, made with a key of the user's
(`seal.py`). Files are replaced, never changed in place; an entry that is missing, damaged, made by others or in another
format is ignored. If two processes write at once, one index is lost, and that entry is computed again later.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clickpipe.diagnostics import Diagnostic, Related, Severity, Sources, Span
from clickpipe.folder.disk import cache_folder, make_folder, replace_file
from clickpipe.folder.seal import is_sealed, seal

_FORM = 2
_KEPT = 16
_MISTAKES = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check: diagnostics, the texts that they refer to, and the numbers of resources."""

    diagnostics: tuple[Diagnostic, ...]
    sources: Sources
    data_sources: int
    pipes: int


class CheckCache:
    """The cached results of one project folder. Errors of the file system are never raised."""

    def __init__(self, root: Path) -> None:
        """Use the folder's cache, which is created on the first `store`."""
        self._folder = cache_folder(root)

    def load(self, state: str) -> CheckResult | None:
        """Return the result for a folder state, or None."""
        with contextlib.suppress(*_MISTAKES):
            digest = dict(self._entries())[state]
            payload = self._payload(state).read_bytes()
            if is_sealed(digest, state.encode(), payload):
                return _decode(json.loads(payload))
        return None

    def store(self, state: str, result: CheckResult) -> None:
        """Store a result, and remove the oldest."""
        payload = json.dumps(_encode(result), ensure_ascii=False).encode(errors="surrogatepass")
        with contextlib.suppress(OSError):
            sealed = seal(state.encode(), payload)
            make_folder(self._folder)
            replace_file(self._payload(state), payload)
            others = [entry for entry in self._entries() if entry[0] != state]
            entries = [(state, sealed), *others][:_KEPT]
            index = json.dumps({"form": _FORM, "entries": entries})
            replace_file(self._folder / "index.json", index.encode())
            self._prune({state for state, _ in entries})

    def _entries(self) -> list[tuple[str, str]]:
        with contextlib.suppress(*_MISTAKES):
            index = json.loads((self._folder / "index.json").read_bytes())
            if index["form"] == _FORM:
                return [(str(state), str(digest)) for state, digest in index["entries"]]
        return []

    def _payload(self, state: str) -> Path:
        return self._folder / f"check-{state}.json"

    def _prune(self, states: Iterable[str]) -> None:
        kept = {self._payload(state).name for state in states}
        for path in self._folder.glob("check-*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


def _encode(result: CheckResult) -> dict[str, Any]:
    shown = {span.file for d in result.diagnostics for span in (d.span, *(r.span for r in d.related))}
    return {
        "diagnostics": [encode_diagnostic(d) for d in result.diagnostics],
        "texts": {name: text if name in shown else "" for name, text in result.sources.texts.items()},
        "data_sources": result.data_sources,
        "pipes": result.pipes,
    }


def _decode(data: Mapping[str, Any]) -> CheckResult:
    diagnostics = tuple(decode_diagnostic(d) for d in data["diagnostics"])
    texts = {str(name): str(text) for name, text in data["texts"].items()}
    return CheckResult(diagnostics, Sources(texts), int(data["data_sources"]), int(data["pipes"]))


def encode_diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    """Return a diagnostic as plain data."""
    return asdict(diagnostic)


def decode_diagnostic(data: Mapping[str, Any]) -> Diagnostic:
    """Return the diagnostic from `encode_diagnostic`. Raises KeyError, TypeError or ValueError for other data."""
    related = tuple(Related(r["message"], Span(**r["span"])) for r in data["related"])
    return Diagnostic(
        data["code"], data["message"], Span(**data["span"]), Severity(data["severity"]), data["hint"], related
    )
