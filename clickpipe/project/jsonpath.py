"""jsonpaths of a schema: text to steps. What they take from an event: docs/ingestion.md."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"\.\['([^']*)'\]|\['([^']*)'\]|\.([^.\[\]]+)|(\[:\])")


@dataclass(frozen=True, slots=True)
class Key:
    """A step into an object: `.name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Each:
    """A step into every element of an array: `[:]`."""


Step = Key | Each


class JsonpathError(ValueError):
    """A jsonpath that cannot be read; `offset` is where in it."""

    def __init__(self, message: str, offset: int) -> None:
        """Keep the message and the character offset."""
        super().__init__(message)
        self.offset = offset


def parse_jsonpath(path: str) -> tuple[Step, ...]:
    """Return the steps of `$.a.b[:].c`; () is the whole document. Raises JsonpathError for another form."""
    if not path.startswith("$"):
        message = f"a jsonpath starts with $, this is '{path}'"
        raise JsonpathError(message, 0)
    steps: list[Step] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            message = f"the jsonpath '{path}' cannot be read from '{path[at:]}'"
            raise JsonpathError(message, at)
        name = match.group(1) or match.group(2) or match.group(3) or ""
        steps.append(Each() if match.group(4) else Key(name))
        at = match.end()
    return tuple(steps)
