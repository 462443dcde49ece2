"""Reads a file that is one JSON value, an object or an array, holding only some MB of an array at a time."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import IO

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.body import Lines, lines_of
from clickpipe.ingest.pieces import MOST_ROWS, pieces

_CHUNK = 8 << 20
_MANY = 1_000_000  # commas: with this many values, do not hold all at once
_CUTS = 8  # attempts to find a place to cut
_DECODER = msgspec.json.Decoder(list[msgspec.Raw])
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\]},]|[\[{]++', re.DOTALL)


def json_parts(stream: IO[bytes], longest: int) -> Iterator[Lines]:
    """Yield the documents of a JSON array, or the single document, as lines.

    Raises ClickpipeError if a document is longer than `longest` bytes.
    """
    data = stream.read(_CHUNK)
    if len(data) < _CHUNK and data.count(b",") < _MANY:
        yield from pieces(lines_of(data, json=True))
        return
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        yield from _elements(stream, data[data.index(b"[") + 1 :], longest)
        return
    while block := stream.read(_CHUNK):
        data += block
        _require(len(data), longest)
    yield lines_of(data, json=True)


def _elements(stream: IO[bytes], data: bytes, longest: int) -> Iterator[Lines]:
    """Yield the elements of an array whose opening bracket has been read."""
    at = depth = 0
    while depth >= 0:
        if not at:
            data = yield from _many(stream, data)
        found, start, at, depth = _cut(data, at, depth)
        yield from _some(found)
        if start and depth >= 0:  # start over at the next element, reading many at once if possible
            data, at, depth = data[start:], 0, 0
        block = stream.read(_CHUNK)
        if not block:
            if depth >= 0 and data.strip():
                yield _lines([data])
            return
        data += block
        _require(len(data), longest + _CHUNK)


def _cut(data: bytes, at: int, depth: int) -> tuple[list[bytes], int, int, int]:
    """Return the complete elements, where the next one begins, how far it was read, and the nesting depth there.

    Reading starts at `at` with nesting `depth`; -1 is after the array.
    """
    start, found = 0, list[bytes]()
    while (token := _TOKEN.search(data, at)) is not None:
        mark = token[0]
        if mark == b'"':  # a text whose end has not been read yet
            return found, start, token.start(), depth
        at = token.end()
        depth += _deeper(mark)
        if depth < 0 or (depth == 0 and mark == b","):
            found.append(data[start : token.start()])
            start = at
        if depth < 0:
            return found, start, at, depth
    return found, start, len(data), depth


def _deeper(mark: bytes) -> int:
    """Return by how much a mark changes the nesting depth."""
    return len(mark) if mark[0] in b"[{" else -1 if mark in b"]}" else 0


def _many(stream: IO[bytes], data: bytes) -> Generator[Lines, None, bytes]:
    """Yield elements while many can be read at once; return the rest of what was read."""
    while (whole := _whole(data)) is not None:
        documents, rest = whole
        yield from _some(documents)
        block = stream.read(_CHUNK)
        data = data[rest:] + block
        if not block:
            break
    return data


def _some(documents: list[bytes]) -> Iterator[Lines]:
    """Return the documents in groups of `MOST_ROWS`."""
    return (_lines(documents[n : n + MOST_ROWS]) for n in range(0, len(documents), MOST_ROWS))


def _whole(data: bytes) -> tuple[list[bytes], int] | None:
    """Return the complete elements up to an object near the end, and where the next begins; None if unclear."""
    end = len(data)
    for _ in range(_CUTS):
        end = data.rfind(b"},", 0, end)
        if end < 0:
            break
        try:
            return [bytes(one) for one in _DECODER.decode(b"[%b]" % data[: end + 1])], end + 2
        except (msgspec.DecodeError, RecursionError):  # cut inside an element, or an element is not JSON
            continue
    return None


def _lines(documents: list[bytes]) -> Lines:
    return Lines.of(line for document in documents if (line := _line(document.strip())))


def _line(document: bytes) -> bytes:
    """Return a document as one line. One that is not JSON goes to quarantine as it is."""
    if b"\n" not in document:
        return document
    try:
        return msgspec.json.format(document, indent=-1)
    except (msgspec.DecodeError, RecursionError):
        return document.replace(b"\n", b" ")


def _require(size: int, longest: int) -> None:
    if size > longest:
        message = f"A JSON document is longer than {longest} bytes: send an array of objects, or NDJSON."
        raise ClickpipeError(message, status=413, code="line_too_long")
