"""Messages in the form of Confluent's schema registry: a zero byte, the schema's id in four, and the value.

Schemas are asked for once by id, within the walls for brokers.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import msgspec

from clickpipe.connect.avro import Avro, AvroError, Read
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Check, Message, ask

REGISTRY = "registry"  # the code of errors that pass
_HEAD = 5  # bytes before the value
_UNKNOWN = 40403  # the registry's code for an id that it does not have
_NESTED = 50  # references of a schema, at most
_PAUSE = (1.0, 2.0, 5.0, 10.0, 30.0)  # seconds until a registry that failed is asked again
_FORGET = 60.0  # seconds until an unknown id is asked for again
_SECONDS = 10.0
_LARGEST = 4 << 20  # bytes of an answer: registries keep schemas of up to 1 MiB, and escape them
_REMEMBERED = 32 << 20  # bytes of answers whose schemas are remembered; compiled, they take about ten times as much


@dataclass(frozen=True, slots=True)
class Framing:
    """The formats of keys and values (`avro`, `json_with_schema`, or other: left as it is), and the registry."""

    value: str = ""
    key: str = ""
    url: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)


class Unreadable(Exception):
    """A message that cannot be read; the text says why."""


class _Reference(msgspec.Struct):
    subject: str
    version: int


class _Schema(msgspec.Struct):
    schema: str
    schemaType: str = "AVRO"  # noqa: N815 - the registry's name
    references: list[_Reference] = []


class _Problem(msgspec.Struct):
    error_code: int = 0


class Frames:
    """Takes messages out of their frames. Used by one thread."""

    def __init__(self, framing: Framing, check: Check) -> None:
        """Ask for no schema yet; `check` raises ClickpipeError for an address that must not be asked."""
        self._framing, self._check = framing, check
        self._url, who = _of_url(framing.url)
        self._headers = {"Accept": "application/json"} | ({"Authorization": who} if who else {})
        self._known: dict[int, Avro | str] = {}  # a text says why a schema cannot be used
        self._bytes = 0  # of the answers that they were made from
        self._unknown: dict[int, float] = {}
        self._failed: tuple[float, str] = (0.0, "")
        self._failures = 0

    def open(self, message: Message) -> Message:
        """Return a message with its key and value as text.

        Raises Unreadable; and ClickpipeError 503 if the registry cannot be asked: try again.
        """
        key = self._part("key", self._framing.key, message.key)
        value = self._part("value", self._framing.value, message.value)
        return message if (key, value) == (message.key, message.value) else replace(message, key=key, value=value)

    def _part(self, what: str, form: str, data: bytes | None) -> bytes | None:
        if data is None or form not in {"avro", "json_with_schema"}:
            return data
        if len(data) < _HEAD or data[0] != 0:
            raise Unreadable(f"the {what} has no schema id")
        if form == "json_with_schema":  # the schema is not needed
            return data[_HEAD:]
        number = int.from_bytes(data[1:_HEAD], "big")
        schema = self._schema(number)
        if isinstance(schema, str):
            raise Unreadable(f"the {what} has schema {number}: {schema}")
        try:
            found = schema.read(data[_HEAD:])
        except AvroError as error:
            raise Unreadable(f"the {what} is not what schema {number} says: {error}") from None
        return found.encode() if what == "key" and isinstance(found, str) else msgspec.json.encode(found)

    def _schema(self, number: int) -> Avro | str:
        found = self._known.get(number)
        if found is not None:
            return found
        if time.monotonic() < self._unknown.get(number, 0.0):
            return "the registry has no such schema"
        try:
            told = self._ask(f"/schemas/ids/{number}")
        except KeyError:
            self._unknown = {one: end for one, end in self._unknown.items() if end > time.monotonic()}
            self._unknown[number] = time.monotonic() + _FORGET
            return "the registry has no such schema"
        schema = self._compiled(told)
        if self._bytes > _REMEMBERED:  # a message may name any of four billion
            self._known, self._bytes = {}, 0
        self._known[number] = schema
        return schema

    def _compiled(self, told: _Schema) -> Avro | str:
        if told.schemaType != "AVRO":
            return "it is not one of Avro"
        names: dict[str, Read] = {}
        try:
            self._referred(told, names, set())
            return Avro(_json(told.schema), names)
        except KeyError:
            return "the registry has no schema that it refers to"
        except AvroError as error:
            return str(error)

    def _referred(self, told: _Schema, names: dict[str, Read], seen: set[tuple[str, int]]) -> None:
        """Read the schemas that a schema refers to, first those that they refer to themselves."""
        for each in told.references:
            if (each.subject, each.version) in seen:
                continue
            seen.add((each.subject, each.version))
            if len(seen) > _NESTED:
                raise AvroError(f"it refers to more than {_NESTED} schemas")
            found = self._ask(f"/subjects/{quote(each.subject, safe='')}/versions/{each.version}")
            self._referred(found, names, seen)
            Avro(_json(found.schema), names)

    def _ask(self, path: str) -> _Schema:
        """Return what the registry has there. Raises KeyError if it says that it has nothing; ClickpipeError 503."""
        until, why = self._failed
        if time.monotonic() < until:
            raise ClickpipeError(why, status=503, code=REGISTRY)
        try:
            body = ask(
                self._url + path,
                check=self._check,
                headers=self._headers,
                ca=self._framing.ca,
                seconds=_SECONDS,
                limit=_LARGEST,
                explain=_explain,
            )
            self._bytes += len(body)
            found = msgspec.json.decode(body, type=_Schema)
        except ClickpipeError as error:
            if error.code == "unknown_schema":
                raise KeyError from None
            raise self._failing(error.message.replace("The URL", "The schema registry", 1)) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._failing("The schema registry's address does not answer as a schema registry does.") from None
        self._failures = 0
        return found

    def _failing(self, why: str) -> ClickpipeError:
        self._failed = (time.monotonic() + _PAUSE[min(self._failures, len(_PAUSE) - 1)], why)
        self._failures += 1
        return ClickpipeError(why, status=503, code=REGISTRY)


def _of_url(url: str) -> tuple[str, str]:
    """Return a registry's address without credentials, and its header for them; '' for what it does not have."""
    try:
        parts = urlsplit(url)
        place = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    except ValueError:  # a reader that cannot be made would hold up all others: this address cannot be asked, later
        return "", ""
    if parts.username is None:
        return place, ""
    who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return place, f"Basic {base64.b64encode(who.encode()).decode()}"


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text  # some registries tell a schema that is only a name without quotes


def _explain(body: bytes) -> str:
    """Raise ClickpipeError if the registry says that it does not have a schema."""
    try:
        code = msgspec.json.decode(body, type=_Problem).error_code
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if code in {_UNKNOWN, 40401, 40402}:  # no such schema, subject, version
        raise ClickpipeError("unknown", code="unknown_schema")
    return ""
