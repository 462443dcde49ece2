"""Reads Avro's binary form: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding.

Values become what JSON has: dates and times as ClickHouse writes them, decimals as text, so that no digit is lost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

_SPARE = 100_000  # fields and items that a message may have in addition to two for each byte: some take no bytes
_LONG = 63  # bits to shift at most
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}  # of a second
_DIGITS, _DECIMAL = 76, 64  # of a decimal after its point, and its bytes: ClickHouse's has 76 digits


class AvroError(ValueError):
    """A schema or a value that cannot be read."""


class _Bytes:
    """The bytes of a value, and how far they are read."""

    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.left = data, 0, 2 * len(data) + _SPARE

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise AvroError("it ends too early")
        found = self.data[self.at : end]
        self.at = end
        return found

    def long(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last one
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > _LONG:
                raise AvroError("a number is too long")

    def count(self, items: int) -> None:
        self.left -= items
        if self.left < 0:
            raise AvroError("it has more values than bytes")


Read = Callable[[_Bytes], Any]


def _text(found: _Bytes) -> str:
    return found.take(found.long()).decode(errors="replace")


_PRIMITIVES: Mapping[str, Read] = {
    "null": lambda _: None,
    "boolean": lambda found: found.take(1) != b"\0",
    "int": _Bytes.long,
    "long": _Bytes.long,
    "float": lambda found: struct.unpack("<f", found.take(4))[0],
    "double": lambda found: struct.unpack("<d", found.take(8))[0],
    "bytes": _text,
    "string": _text,
}


class Avro:
    """A schema. `names` has the types that other schemas define, and gets those of this one."""

    def __init__(self, schema: Any, names: dict[str, Read] | None = None) -> None:
        """Compile a parsed schema. Raises AvroError."""
        self._names = {} if names is None else names
        try:
            self._read = self._of(schema, "")
        except AvroError:
            raise
        except (KeyError, TypeError, AttributeError, RecursionError, ValueError, OverflowError) as error:
            raise AvroError(f"{type(error).__name__} in the schema") from None

    def read(self, data: bytes) -> Any:
        """Return a value. Raises AvroError if the bytes are not exactly one."""
        found = _Bytes(data)
        try:
            value = self._read(found)
        except (OverflowError, RecursionError, struct.error) as error:
            raise AvroError(f"a value is out of range ({type(error).__name__})") from None
        if found.at != len(data):
            raise AvroError(f"{len(data) - found.at} bytes are left over")
        return value

    def _of(self, schema: Any, space: str) -> Read:
        if isinstance(schema, list):
            return _union([self._of(each, space) for each in schema])
        if isinstance(schema, str):
            return _PRIMITIVES[schema] if schema in _PRIMITIVES else self._named(schema, space)
        kind = schema["type"]
        if kind in ("record", "error"):
            return self._record(schema, space)
        if kind == "array":
            return _array(self._of(schema["items"], space))
        if kind == "map":
            return _map(self._of(schema["values"], space))
        if kind == "enum":
            return self._keep(schema, space, _enum(list(schema["symbols"])))[0]
        if kind == "fixed":
            size = int(schema["size"])
            read = _logical(schema, lambda found: found.take(size)) or (lambda f: f.take(size).decode(errors="replace"))
            return self._keep(schema, space, read)[0]
        if kind == "bytes":
            return _logical(schema, lambda found: found.take(found.long())) or _text
        return (_logical(schema, _Bytes.long) if kind in ("int", "long") else None) or self._of(kind, space)

    def _record(self, schema: Any, space: str) -> Read:
        fields: list[tuple[str, Read]] = []

        def read(found: _Bytes) -> dict[str, Any]:
            found.count(len(fields))
            return {name: each(found) for name, each in fields}

        _, inner = self._keep(schema, space, read)
        fields += [(str(field["name"]), self._of(field["type"], inner)) for field in schema["fields"]]
        return read

    def _keep(self, schema: Any, space: str, read: Read) -> tuple[Read, str]:
        """Remember a named type; return it and its namespace."""
        name = str(schema["name"])
        if "." not in name:
            space = str(schema.get("namespace", space) or "")
            name = f"{space}.{name}" if space else name
        self._names[name] = read
        return read, name.rpartition(".")[0]

    def _named(self, name: str, space: str) -> Read:
        full = f"{space}.{name}" if space and "." not in name else name
        found = self._names.get(full) or self._names.get(name)
        if found is None:
            raise AvroError(f"there is no type '{name[:100]}' in the schema")
        return found


def _union(branches: list[Read]) -> Read:
    def read(found: _Bytes) -> Any:
        which = found.long()
        if not 0 <= which < len(branches):
            raise AvroError("a union has no such branch")
        return branches[which](found)

    return read


def _enum(symbols: list[str]) -> Read:
    def read(found: _Bytes) -> str:
        which = found.long()
        if not 0 <= which < len(symbols):
            raise AvroError("an enum has no such symbol")
        return symbols[which]

    return read


def _items(found: _Bytes) -> int:
    """Return how many items the next block has; 0 at the end."""
    number = found.long()
    if number < 0:
        found.long()  # its size in bytes
        number = -number
    found.count(number)
    return number


def _array(item: Read) -> Read:
    def read(found: _Bytes) -> list[Any]:
        values: list[Any] = []
        while number := _items(found):
            values += [item(found) for _ in range(number)]
        return values

    return read


def _map(value: Read) -> Read:
    def read(found: _Bytes) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while number := _items(found):
            for _ in range(number):
                key = _text(found)
                values[key] = value(found)
        return values

    return read


def _logical(schema: Any, raw: Read) -> Read | None:
    """Return what reads a date, a time or a decimal; None for any other type."""
    name = str(schema.get("logicalType", ""))
    if name == "decimal" and schema["type"] in ("bytes", "fixed"):
        scale = schema.get("scale", 0)
        if not isinstance(scale, int) or not 0 <= scale <= _DIGITS:  # written out, a larger one could fill the memory
            raise AvroError("a decimal has an odd scale")
        return lambda found: format(_decimal(raw(found), scale), "f")
    if schema["type"] == "int" and name == "date":
        return lambda found: (date(1970, 1, 1) + timedelta(days=raw(found))).isoformat()
    kind, _, unit = name.rpartition("-")
    if schema["type"] == "long" and kind in ("timestamp", "local-timestamp") and unit in _UNITS:
        return lambda found: _moment(raw(found), unit)
    return None


def _decimal(data: bytes, scale: int) -> Decimal:
    if len(data) > _DECIMAL:
        raise AvroError("a decimal is too long")
    number = int.from_bytes(data, "big", signed=True)
    return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -scale))


def _moment(number: int, unit: str) -> str:
    """Return a moment as `2025-10-09 08:53:20.123`."""
    per = _UNITS[unit]
    seconds, rest = divmod(number, per)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}.{rest:0{len(str(per)) - 1}}"
