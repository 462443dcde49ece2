"""Reads a folder on disk as file texts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clickpipe.datafile import expand_variables
from clickpipe.diagnostics import Diagnostic, Span
from clickpipe.folder import read_datafiles


def read_folder(root: Path, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, str], list[Diagnostic]]:
    """Return the texts of the datafiles below `root` by relative path (with `/`), and diagnostics of unreadable files.

    `$NAME` in values is replaced from `environment`.
    """
    return read_texts(read_datafiles(root), environment)


def read_texts(
    files: Mapping[str, bytes | OSError], environment: Mapping[str, str] = os.environ
) -> tuple[dict[str, str], list[Diagnostic]]:
    """Return the same as `read_folder`, for files that are already read."""
    texts: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    for name, data in files.items():
        try:
            if isinstance(data, OSError):
                raise data
            texts[name] = expand_variables(name, decode(data), environment)
        except (OSError, UnicodeDecodeError) as error:
            reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)
            diagnostics.append(Diagnostic("CP2005", f"the file cannot be read: {reason}", Span(name, 0, 0)))
    return texts, diagnostics


def decode(data: bytes) -> str:
    """Decode UTF-8 and normalise line ends to LF (offsets in diagnostics count on that). Raises UnicodeDecodeError."""
    return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
