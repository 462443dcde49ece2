"""What a terminal is sent: text and colours, no commands, whatever a project, a row or a server says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

_COLOUR = r"(?:2[1-4]|3[1-79]|9[1-7]|[0-4])"  # and bold; none that hides
_OWN = rf"\x1b\[(?:{_COLOUR}(?:;{_COLOUR})*+)?+m|\r\x1b\[K|\r\n"
_CONTROLS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_EITHER = re.compile(rf"(?P<own>{_OWN})|{_CONTROLS}")


def without_commands(text: str) -> str:
    """Return text that moves no cursor and sets nothing of a terminal but colours: what would is shown as escapes.

    Such as `\\x1b`; so are signs that change the order in which text is read.
    """
    return _EITHER.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    if match["own"] is not None:
        return match[0]
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"  # noqa: PLR2004 - of two digits


class _Bytes:
    """Takes bytes for a terminal."""

    def __init__(self, stream: _Terminal) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data.decode(errors="replace"))
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


class _Terminal:
    """A stream to a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        self._stream.write(without_commands(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_terminals() -> None:
    """Have what is printed from now on, and goes to a terminal, be without commands to it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Terminal) and stream is not None and stream.isatty():
            setattr(sys, name, cast("TextIO", _Terminal(stream)))
