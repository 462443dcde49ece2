"""Parses the jsonpaths of a schema to steps. docs/ingestion.md describes what they extract from an event."""

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
    """A jsonpath that cannot be parsed; `offset` is the position in characters."""

    def __init__(self, message: str, offset: int) -> None:
        """Keep the message and the character offset."""
        super().__init__(message)
        self.offset = offset


def parse_jsonpath(path: str) -> tuple[Step, ...]:
    """Parse a jsonpath such as `$.a.b[:].c` to steps; () is the whole document. Raises JsonpathError."""
    if not path.startswith("$"):
        message = f"a jsonpath starts with $, this is '{path}'"
        raise JsonpathError(message, 0)
    steps: list[Step] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            message = f"the jsonpath '{path}' is not valid from '{path[at:]}' on"
            raise JsonpathError(message, at)
        name = match.group(1) or match.group(2) or match.group(3) or ""
        steps.append(Each() if match.group(4) else Key(name))
        at = match.end()
    return tuple(steps)
