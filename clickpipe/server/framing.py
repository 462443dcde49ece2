"""ClickHouse's own compression of responses (`compress=1`) and requests (`decompress=1`), used by JDBC and Go.

A sequence of blocks, each with a checksum: CityHash128 (ClickHouse's version) of what follows; 0x82 for LZ4; the size
of the compressed block with these nine bytes, and its original size; the block. Numbers are little-endian.
"""

from __future__ import annotations

import struct

from clickpipe.diagnostics import ClickpipeError

_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_BLOCK = 1 << 20
_HALF = (1 << 64) - 1
_CHECKSUM, _HEAD = 16, 9


def framed(data: bytes) -> bytes:
    """Return data as blocks of up to 1 MiB."""
    import lz4.block
    from clickhouse_cityhash.cityhash import CityHash128

    parts: list[bytes] = []
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        packed = lz4.block.compress(block, store_size=False)
        body = struct.pack("<BII", _LZ4, len(packed) + _HEAD, len(block)) + packed
        checksum = CityHash128(body)
        parts += [struct.pack("<QQ", checksum >> 64, checksum & _HALF), body]
    return b"".join(parts)


def unframed(data: bytes, limit: int) -> bytes:
    """Return the data in blocks. Raises ClickpipeError: 400 for invalid ones, 413 for more than `limit` bytes."""
    parts: list[bytes] = []
    size = at = 0
    while at < len(data):
        try:
            method, packed, plain = struct.unpack_from("<BII", data, at + _CHECKSUM)
        except struct.error:
            raise _broken() from None
        size += plain
        if size > limit:
            message = f"The body is larger than {limit} bytes when decompressed."
            raise ClickpipeError(message, status=413, code="body_too_large")
        end = at + _CHECKSUM + packed
        if packed < _HEAD or end > len(data):
            raise _broken()
        parts.append(_block(data, at, end, method, plain))
        at = end
    return b"".join(parts)


def _block(data: bytes, at: int, end: int, method: int, plain: int) -> bytes:
    import lz4.block
    import zstandard
    from clickhouse_cityhash.cityhash import CityHash128

    checksum = CityHash128(data[at + _CHECKSUM : end])
    if data[at : at + _CHECKSUM] != struct.pack("<QQ", checksum >> 64, checksum & _HALF):
        raise _broken()
    body = data[at + _CHECKSUM + _HEAD : end]
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(body, uncompressed_size=plain))
        if method == _ZSTD:
            return zstandard.ZstdDecompressor().decompress(body, max_output_size=plain)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError, MemoryError):
        raise _broken() from None
    if method != _NONE or len(body) != plain:
        raise _broken()
    return body


def _broken() -> ClickpipeError:
    message = "The body is not in ClickHouse's compressed format (decompress=1)"
    return ClickpipeError(message, code="broken_body")
