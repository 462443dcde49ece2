"""Kafka messages as NDJSON lines: a message's metadata precedes the keys of its value.

    {"__topic":"clicks","__partition":0,"__offset":7,"__timestamp":1760000000,"__key":"k","id":"a","n":1}

If a key occurs twice, the first one counts. If a column takes the whole value, `__kafka` comes first and says where the
value begins. A message that is not a JSON object becomes a line that begins with `__error`, which goes to quarantine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from clickpipe.sql import quote_literal

REFUSED = b'{"__error":"'
_REFUSED = quote_literal(REFUSED.decode())
IS_REFUSED = f"startsWith(__line, {_REFUSED})"
REFUSAL = "[('', JSONExtractString(__line, '__error'))]"
_START = '{"__kafka":'
_PLACE = 1_000_000_000  # added to the place, so that it always has the same number of digits
_DIGITS = len(str(_PLACE))
_AT = f"toInt64OrZero(substring(line, {len(_START) + 1}, {_DIGITS})) - {_PLACE}"
WHOLE_MESSAGE = (
    f"toNullable(if(startsWith(line, {quote_literal(f'{_START}1')}), concat('{{', substring(line, {_AT} + 1)), line))"
)
_KEPT = 100_000  # bytes of a refused message that quarantine keeps
_CONTROL = re.compile(rb"[\r\n]")
_ANY = msgspec.json.Decoder(msgspec.Raw)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Message:
    """A message; `timestamp` is in seconds since 1970, or None."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """Which parts of a message to store: the unparsed value, the headers; `whole` if a column takes the whole value."""

    value: bool = False
    headers: bool = False
    whole: bool = False


def line_of(message: Message, stored: Stored, largest: int) -> bytes:
    """Return a message as a line. Refuses a value of more than `largest` bytes, or that is not a JSON object."""
    value = message.value
    if value is None:  # a tombstone: a row if no column is required
        return b"{" + _meta(message, stored) + b"}"
    if len(value) > largest:
        return refused(message, f"the message is larger than {largest} bytes")
    body = value.strip(b" \t\r\n")
    if not _is_object(body):
        return refused(message, "the message is not a JSON object")
    if _CONTROL.search(body):
        body = msgspec.json.format(body, indent=-1)
    rest = body[1:].lstrip(b" \t")
    head = _meta(message, stored) + (b"" if rest == b"}" else b",")
    if not stored.whole:
        return b"{" + head + rest
    start = _START.encode()
    return b"%s%d,%s%s" % (start, _PLACE + len(start) + _DIGITS + 1 + len(head), head, rest)


def refused(message: Message, reason: str) -> bytes:
    """Return the line that puts a message into quarantine, unparsed, with a reason."""
    kept = _text((message.value or b"")[:_KEPT])
    meta = _meta(message, Stored(headers=True))
    return b'{"__error":%s,%s,"__value":%s}' % (_encode(reason), meta, kept)


def _is_object(body: bytes) -> bool:
    try:
        body.decode()
        _ANY.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return body[:1] == b"{"


def _meta(message: Message, stored: Stored) -> bytes:
    parts = b'"__topic":%s,"__partition":%d,"__offset":%d' % (
        _encode(message.topic),
        message.partition,
        message.offset,
    )
    if message.timestamp is not None:
        parts += b',"__timestamp":%d' % message.timestamp
    if message.key is not None:
        parts += b',"__key":' + _text(message.key)
    if stored.value and message.value is not None:
        parts += b',"__value":' + _text(message.value)
    if stored.headers:
        parts += b',"__headers":' + _encode(
            {name: (value or b"").decode(errors="replace") for name, value in message.headers}
        )
    return parts


def _text(value: bytes) -> bytes:
    """Return bytes as a JSON string; invalid UTF-8 is replaced."""
    return _encode(value.decode(errors="replace"))
