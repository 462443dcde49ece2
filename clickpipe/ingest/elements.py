"""Cuts JSON documents that follow each other apart: the elements of an array, also of one that is not valid JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

_TOKEN = re.compile(
    rb"""\{(?:[^{}\[\]"]++|"(?:[^"\\]++|\\.)*+")*+\}"""  # an object without others in it
    rb"""|"(?:[^"\\]++|\\.)*+"|["\]},]|[\[{]++""",
    re.DOTALL,
)
_NEXT = re.compile(rb"\s*+(.?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cut:
    """Whole documents, and where the next one begins. Reading goes on at `at`, which is `depth` brackets deep.

    With `closed`, the array ended before `start`.
    """

    documents: list[bytes]
    start: int
    at: int
    depth: int
    closed: bool = False


def cut(data: bytes, at: int = 0, depth: int = 0, *, ended: bool = True) -> Cut:
    """Cut documents apart at commas, and between a bracket that closes one and a brace that opens the next.

    `ended` means that nothing comes after `data`. Apart from commas and the bracket that closes the array, every byte
    is in a document or comes after `start`. A bracket that closes nothing stays where it is.
    """
    start, found = 0, list[bytes]()
    while (token := _TOKEN.search(data, at)) is not None:
        mark, end, above = token[0], token.end(), depth
        depth = _depth(mark, above)
        ends = not depth and mark[-1] in b"]}"  # perhaps a document, or the array
        follows = _NEXT.match(data, end) if ends else None
        if mark == b'"' or (follows and not follows[1] and not ended):  # the rest is not here yet
            return Cut(found, start, token.start(), above)
        at = end
        if follows and mark == b"]" and not above:
            found.append(data[start : token.start()])
            start = at = follows.end() if follows[1] == b"," else end
            if follows[1] != b",":
                return Cut(found, start, end, 0, closed=True)
        elif follows and follows[1] in (b"{", b",") and (above or len(mark) > 1):
            found.append(data[start:end])
            start = at = end if follows[1] == b"{" else follows.end()
        elif mark == b"," and not above:
            found.append(data[start : token.start()])
            start = end
    return Cut(found, start, len(data), depth)


def _depth(mark: bytes, depth: int) -> int:
    """Return the nesting depth after a mark."""
    if mark[-1] in b"[{":
        return depth + len(mark)
    return max(0, depth - 1) if mark in (b"]", b"}") else depth


def as_line(document: bytes) -> bytes:
    """Return a document as one line. One that is not JSON stays as it is, but for its line ends."""
    if b"\n" not in document:
        return document
    try:
        return msgspec.json.format(document, indent=-1)
    except (msgspec.DecodeError, RecursionError):
        return document.replace(b"\n", b" ")
