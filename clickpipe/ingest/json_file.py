"""Reads a file of JSON documents, one on each line or all in an array, holding only some MB at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import IO

import msgspec

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.body import BOM, Lines, is_array, is_document, lines_of
from clickpipe.ingest.elements import as_line, cut
from clickpipe.ingest.pieces import MOST_ROWS, pieces

_CHUNK = 8 << 20
_MANY = 1_000_000  # commas: with this many values, do not hold all at once
_CUTS = 8  # attempts to find a place to cut
_DECODER = msgspec.json.Decoder(list[msgspec.Raw])


def json_parts(stream: IO[bytes], longest: int, begun: bytes = b"") -> Iterator[Lines]:
    """Yield the documents of a JSON array, or the single document, as lines; also NDJSON.

    `begun` is the first chunk, if it was read. Raises ClickpipeError if a document is longer than `longest` bytes.
    """
    data = begun or stream.read(_CHUNK)
    is_small = len(data) < _CHUNK and data.count(b",") < _MANY
    begins = data.removeprefix(BOM).lstrip()[:1]
    if is_small and (begins != b"[" or is_document(data.removeprefix(BOM).strip())):
        yield from pieces(lines_of(data, json=True))
        return
    if begins == b"[":
        yield from _elements(stream, data[data.index(b"[") + 1 :], longest)
        return
    if is_document(data.removeprefix(BOM).lstrip().partition(b"\n")[0]):
        yield from _by_line(stream, data, longest)
        return
    while block := stream.read(_CHUNK):
        data += block
        _require(len(data), longest)
    yield lines_of(data, json=True)


def ndjson_parts(stream: IO[bytes], longest: int) -> Iterator[Lines]:
    """Yield the lines of a stream, in parts; also the documents of an array of objects.

    Raises ClickpipeError if a line is longer than `longest` bytes.
    """
    data = stream.read(_CHUNK)
    if is_array(data):
        yield from json_parts(stream, longest, data)
    elif len(data) < _CHUNK:
        yield from pieces(lines_of(data))
    else:
        yield from _by_line(stream, data, longest)


def _by_line(stream: IO[bytes], block: bytes, longest: int) -> Iterator[Lines]:
    rest = b""
    while block:
        whole, newline, after = block.rpartition(b"\n")
        if newline:
            yield from pieces(lines_of(rest + whole))
            rest = after
        else:
            rest += block
        if len(rest) > longest:
            message = f"A line is longer than {longest} bytes: is this NDJSON, one object a line?"
            raise ClickpipeError(message, code="line_too_long")
        block = stream.read(_CHUNK)
    yield from pieces(lines_of(rest))


def _elements(stream: IO[bytes], data: bytes, longest: int) -> Iterator[Lines]:
    """Yield the elements of an array whose opening bracket has been read, and what follows it as lines."""
    at = depth = 0
    while True:
        if not at:
            data = yield from _many(stream, data)
        block = stream.read(_CHUNK)
        found = cut(data, at, depth, ended=not block)
        yield from _some(found.documents)
        if found.closed:
            yield from _by_line(stream, data[found.start :] + block, longest)
            return
        if not block:
            yield from pieces(lines_of(data[found.start :]))
            return
        at, depth = found.at, found.depth
        if found.start:  # start over at the next element, reading many at once if possible
            data, at, depth = data[found.start :], 0, 0
        data += block
        _require(len(data), longest + _CHUNK)


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
    return Lines.of(line for document in documents if (line := as_line(document.strip())))


def _require(size: int, longest: int) -> None:
    if size > longest:
        message = f"A JSON document is longer than {longest} bytes: send an array of objects, or NDJSON."
        raise ClickpipeError(message, status=413, code="line_too_long")
