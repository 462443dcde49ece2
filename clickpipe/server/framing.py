"""ClickHouse's own compression of answers (`compress=1`), which its JDBC and Go clients ask for unless told otherwise.

Blocks, each with a checksum: CityHash128 (of ClickHouse's version) of what follows; 0x82 for LZ4; the block's length
with these nine bytes, and its length before; the block. Numbers are little-endian.
"""

from __future__ import annotations

import struct

_LZ4 = 0x82
_BLOCK = 1 << 20
_HALF = (1 << 64) - 1


def framed(data: bytes) -> bytes:
    """Return bytes as blocks of up to 1 MiB."""
    import lz4.block
    from clickhouse_cityhash.cityhash import CityHash128

    parts: list[bytes] = []
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        packed = lz4.block.compress(block, store_size=False)
        body = struct.pack("<BII", _LZ4, len(packed) + 9, len(block)) + packed
        checksum = CityHash128(body)
        parts += [struct.pack("<QQ", checksum >> 64, checksum & _HALF), body]
    return b"".join(parts)
