"""Generates plausible rows for a data source from the names and types of its columns; repeatable by seed."""

from __future__ import annotations

import math
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from clickpipe.columns import (
    base,
    document_of,
    enum_names,
    is_nullable,
    named_field,
    numbers,
    plain,
    split_arguments,
    taken,
)
from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import Column, DataSource

_DAYS = 30  # range of generated times
_NULL = 0.05
_WORDS: dict[tuple[str, ...], Sequence[str]] = {
    ("country", "country_code"): ("US", "GB", "DE", "FR", "ES", "IN", "BR", "CA", "NL", "JP"),
    ("city",): ("London", "New York", "Berlin", "Paris", "Madrid", "Mumbai", "São Paulo", "Toronto", "Tokyo"),
    ("browser",): ("Chrome", "Safari", "Firefox", "Edge", "Opera"),
    ("device", "device_type", "platform"): ("mobile", "desktop", "tablet"),
    ("os",): ("Android", "iOS", "Windows", "macOS", "Linux"),
    ("language", "locale", "lang"): ("en", "de", "fr", "es", "pt", "ja"),
    ("currency",): ("USD", "EUR", "GBP", "BRL", "JPY"),
    ("status", "state"): ("ok", "pending", "error", "cancelled"),
    ("method", "http_method"): ("GET", "POST", "PUT", "DELETE"),
    ("event", "event_type", "event_name", "action", "type", "kind"): ("view", "click", "search", "cart", "purchase"),
    ("plan", "tier"): ("free", "pro", "team", "enterprise"),
    ("category", "section"): ("books", "games", "music", "garden", "kitchen", "sports"),
    ("source", "utm_source", "channel"): ("google", "direct", "newsletter", "facebook", "x", "partner"),
    ("level", "severity"): ("info", "debug", "warning", "error"),
    ("env", "environment"): ("production", "staging", "development"),
    ("gender",): ("f", "m", "x"),
    ("name", "user_name", "username", "first_name"): ("Ada", "Grace", "Linus", "Mary", "Ken", "Barbara", "Alan"),
    ("last_name", "surname"): ("Lovelace", "Hopper", "Shelley", "Thompson", "Liskov", "Turing"),
    ("page_title", "title"): ("Home", "Pricing", "Documentation", "Blog", "About us", "Cart"),
    ("user_agent",): (
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    ),
}
_BY_NAME = {name: words for names, words in _WORDS.items() for name in names}
_PATHS = ("/", "/pricing", "/docs", "/blog", "/cart", "/product/1", "/product/2", "/product/3", "/about")
_LONG, _BITS, _DIGITS = 100, 256, 76  # maximum length of a FixedString, bits and digits
_MARKS = {"SIGN": (1, 1, 1, -1), "IS_DELETED": (0, 0, 0, 1)}  # columns of engines that take few values
_ITEMS = ("red", "green", "blue", "new", "sale")


def mock_rows(source: DataSource, rows: int, seed: int, until: datetime) -> Iterator[dict[str, Any]]:
    """Return JSON documents that fit the data source; times are ascending, within the month before `until`.

    Raises ClickpipeError for a data source that a materialized view fills, and for an invalid type.
    """
    if not source.ingestible:
        message = f"The data source '{source.name}' stores aggregate states: only a materialized view can fill it."
        raise ClickpipeError(message, code="not_ingestible")
    columns = taken(source)
    marks = {source.engine.option(name): words for name, words in _MARKS.items()}
    tried = _Maker(random.Random(seed), 1, until, marks)  # noqa: S311 - plausible, not secret
    tried.next_row(0)
    for column in columns:
        tried.value_of(column)
    return _rows(_Maker(random.Random(seed), rows, until, marks), columns, rows)  # noqa: S311


def _rows(maker: _Maker, columns: list[Column], rows: int) -> Iterator[dict[str, Any]]:
    for number in range(rows):
        maker.next_row(number)
        yield document_of(columns, maker.value_or_none)


class _Maker:
    """What a row's values share: its time, its user, and the user's session."""

    def __init__(self, rng: random.Random, rows: int, until: datetime, marks: Mapping[str, Sequence[int]]) -> None:
        self.random = rng
        self._marks = marks
        self._rows = max(1, rows)
        self._until = until
        self._users = max(3, rows // 8)

    def next_row(self, number: int) -> None:
        """Start the next row: later than the one before, with more rows by day than by night."""
        share = (number + self.random.random()) / self._rows
        day, part = divmod(share * _DAYS, 1)
        hours = 24 * (part - math.sin(2 * math.pi * part) / (2 * math.pi) * 0.8)
        self.moment = self._until - timedelta(days=_DAYS) + timedelta(days=day, hours=hours)
        self.user = int(self._users * self.random.random() ** 2) + 1  # some come often
        self.session = f"s{self.user}-{int(day)}"

    def value_or_none(self, column: Column) -> Any:
        """Return a value of a column, or now and then None if it accepts NULL."""
        if is_nullable(column.type) and self.random.random() < _NULL:
            return None
        return self.value_of(column)

    def value_of(self, column: Column) -> Any:
        """Return a value of a column. Raises ClickpipeError for an invalid type."""
        if column.name in self._marks:
            return self.random.choice(self._marks[column.name])
        try:
            return self.value(column.type, column)
        except (ValueError, IndexError, RecursionError):
            message = (
                f"There is no example of type {column.type[:100]} for column '{column.name}': see `clickpipe check`."
            )
            raise ClickpipeError(message, code="bad_type") from None

    def value(self, type_: str, column: Column) -> Any:
        """Return a value of a type, as parsed JSON."""
        own = plain(type_)
        kind, bracket, inside = own.partition("(")
        if kind == "Variant":
            return self.value(self.random.choice(split_arguments(inside[:-1])), column)
        if bracket and kind in _HOLDERS:
            return _HOLDERS[kind](self, split_arguments(inside[:-1]), column)
        if own.startswith("Enum"):
            return self.skewed(enum_names(own))
        if own.startswith("FixedString("):
            return "x" * min(numbers(inside, _LONG), default=1)
        return next((make(self, own, column.name.lower()) for start, make in _MAKERS if own.startswith(start)), "x")

    def skewed(self, words: Sequence[Any]) -> Any:
        """Return one of the words, the first ones most often."""
        return words[min(int(self.random.paretovariate(1.0)) - 1, len(words) - 1)]

    def text(self, _own: str, name: str) -> str:
        if name in _BY_NAME:
            return str(self.skewed(_BY_NAME[name]))
        if "session" in name:
            return self.session
        if name in _UNIQUE:
            return self.identifier()
        if name.endswith("id") or name in {"user", "visitor", "customer"}:
            return f"{name.removesuffix('_id')[:1]}{self.user}"
        made = next((make(self) for pattern, make in _TEXTS if pattern.search(name)), None)
        return made if made is not None else f"{name}-{self.skewed(range(1, 50))}"

    def identifier(self, *_: str) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def address(self, *_: str) -> str:
        return f"192.0.2.{self.user % 254 + 1}"

    def number(self, own: str, name: str) -> Any:
        if own.startswith("Interval"):
            return self.random.randint(1, 60)
        bits = numbers(own, _BITS)[0]
        most = 2 ** (bits - (not own.startswith("U"))) - 1
        if name.startswith(("is_", "has_")) or most < 2:  # noqa: PLR2004
            return self.random.randint(0, 1)
        if "status" in name and most > 1000:  # noqa: PLR2004 - HTTP's
            return int(self.skewed((200, 200, 304, 404, 500)))
        if name.endswith("_id") or name == "id":
            return self.user % most
        if name in {"timestamp", "ts", "time"} and most > 2**40:
            return int(self.moment.timestamp() * 1000)
        if name in {"timestamp", "ts", "time"} and most >= 2**31 - 1:
            return int(self.moment.timestamp())
        if "age" in name:
            return min(most, max(18, int(self.random.gauss(38, 12))))
        wide = min(
            most, int(self.random.lognormvariate(3, 1.2)) if "quantity" not in name else self.random.randint(1, 5)
        )
        return str(wide) if bits > 64 else wide  # noqa: PLR2004 - JSON's numbers

    def real(self, _own: str, name: str) -> float:
        if name.startswith("lat"):
            return round(self.random.uniform(-60, 70), 5)
        if name.startswith(("lon", "lng")):
            return round(self.random.uniform(-180, 180), 5)
        if any(word in name for word in ("rate", "ratio", "share", "score", "percent")):
            return round(self.random.random() * (100 if "percent" in name else 1), 3)
        return round(self.random.lognormvariate(3, 1), 2)

    def decimal(self, own: str, _name: str) -> str:
        digits = numbers(own.partition("(")[2], _DIGITS)
        precision, scale = (digits[0], digits[1]) if len(digits) > 1 else (9, digits[0])
        whole = min(10 ** max(0, precision - scale) - 1, int(self.random.lognormvariate(3, 1)))
        return f"{whole}.{self.random.randrange(10**scale):0{scale}d}" if scale else str(whole)

    def when(self, own: str, name: str) -> str:
        later = (
            timedelta(seconds=self.random.randint(1, 3600))
            if name.startswith(("updated", "ended", "finished"))
            else timedelta()
        )
        moment = self.moment + later
        if own.startswith("DateTime64"):
            return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        return moment.strftime("%Y-%m-%d" if own.startswith("Date") and "Time" not in own else "%Y-%m-%d %H:%M:%S")

    def boolean(self, *_: str) -> bool:
        return self.random.random() < 0.3  # noqa: PLR2004 - usually false

    def document(self, *_: str) -> dict[str, Any]:
        return {"variant": self.skewed(("a", "b")), "step": self.random.randint(1, 5)}


_UNIQUE = frozenset({"id", "event_id", "uuid", "request_id", "message_id", "order_id", "transaction_id"})
_REFERRERS = ("", "https://www.google.com/", "https://news.ycombinator.com/", "https://x.com/")
_TEXTS: tuple[tuple[re.Pattern[str], Callable[[_Maker], str]], ...] = (
    (re.compile("email"), lambda maker: f"user{maker.user}@example.com"),
    (re.compile("referr?er"), lambda maker: str(maker.skewed(_REFERRERS))),
    (re.compile("url|^(path|pathname|href|page)$"), lambda maker: str(maker.skewed(_PATHS))),
    (re.compile("(^|_)ip($|_)"), lambda maker: maker.address()),
    (
        re.compile("^(properties|payload|metadata|attributes|data|context)$"),
        lambda maker: f'{{"variant":"{maker.skewed(("a", "b"))}"}}',
    ),
    (re.compile("version"), lambda maker: ".".join(str(maker.random.randint(0, 9)) for _ in range(3))),
)


def _array(maker: _Maker, arguments: list[str], column: Column) -> list[Any]:
    least = int(
        "[:]" in (column.jsonpath or "").removesuffix("[:]")
    )  # the objects of a list have a value for each column
    count = maker.random.randint(least, 1 if "(" in arguments[0] else 3)  # lists of lists grow with their depth
    if base(arguments[0]) == "String":
        return maker.random.sample(_ITEMS, count)
    return [maker.value(arguments[0], column) for _ in range(count)]


def _map(maker: _Maker, arguments: list[str], column: Column) -> dict[str, Any]:
    keys = [maker.value(arguments[0], column) for _ in range(1 if "(" in arguments[1] else 2)]
    return {str(key): maker.value(arguments[1], column) for key in keys}


def _tuple(maker: _Maker, arguments: list[str], column: Column) -> Any:
    fields = [named_field(part) for part in arguments]
    values = [maker.value(type_, column) for _, type_ in fields]
    names = [name for name, _ in fields if name]
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else values


_HOLDERS: dict[str, Callable[[_Maker, list[str], Column], Any]] = {"Array": _array, "Map": _map, "Tuple": _tuple}
_MAKERS: tuple[tuple[str, Callable[[_Maker, str, str], Any]], ...] = (
    ("String", _Maker.text),
    ("Bool", _Maker.boolean),
    ("UUID", _Maker.identifier),
    ("Date", _Maker.when),
    ("Time", lambda maker, *_: maker.moment.strftime("%H:%M:%S")),
    ("Geometry", lambda maker, *_: [maker.real("", "lon"), maker.real("", "lat")]),
    ("Float", _Maker.real),
    ("BFloat", _Maker.real),
    ("Decimal", _Maker.decimal),
    ("IPv4", _Maker.address),
    ("IPv6", lambda maker, *_: f"2001:db8::{maker.user % 65535:x}"),
    ("JSON", _Maker.document),
    ("Object", _Maker.document),
    ("Int", _Maker.number),
    ("UInt", _Maker.number),
)
