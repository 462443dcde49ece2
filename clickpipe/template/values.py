"""Typed template values: what a typed call such as `Int32(x, 5)` returns.

Inside `{% %}` they are plain Python values (`Int32(x, 5) > 3` compares numbers); inside `{{ }}` they become ClickHouse
query parameters, bound with the type that behaves like the literal that Tinybird renders (dates as strings: see
docs/templates.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from clickpipe.template.errors import TemplateError

MOST = 1_000_000  # characters of a string, items of a list
MOST_PIECES = 100_000  # that a template may output: stretches of its text, and values

ParamValue = str | int | float | list[Any]  # bound values
ParsedValue = ParamValue | Decimal  # values in template expressions


class Binding:
    """How a typed value is bound: parameter name, ClickHouse type, and the call's default as a key.

    Equal bindings share a placeholder.
    """

    __slots__ = ("_hash", "key", "name", "type")

    def __init__(self, name: str, type_: str, key: str) -> None:
        """Keep the three, and their hash, which is needed for every value."""
        self.name = name
        self.type = type_
        self.key = key
        self._hash = hash((name, type_, key))

    def __hash__(self) -> int:
        """Return the hash of all three."""
        return self._hash

    def __eq__(self, other: object) -> bool:
        """Compare all three."""
        if self is other:
            return True
        if not isinstance(other, Binding):
            return NotImplemented
        return (self.name, self.type, self.key) == (other.name, other.type, other.key)


class Raw(str):
    """A request parameter as received, with its name."""

    __slots__ = ("name",)
    name: str


class RawList(list[str]):
    """A request parameter given several times, with its name."""

    __slots__ = ("name",)
    name: str


class TypedStr(str):
    """A string with its binding."""

    __slots__ = ("binding",)
    binding: Binding


class TypedInt(int):
    """An integer with its binding; arithmetic returns a plain int."""

    binding: Binding


class TypedFloat(float):
    """A float with its binding; arithmetic returns a plain float."""

    __slots__ = ("binding",)
    binding: Binding


class TypedList(list[Any]):
    """A list with its binding."""

    __slots__ = ("binding",)
    binding: Binding


class TypedDecimal(Decimal):
    """A decimal number with its binding; arithmetic returns a plain Decimal."""

    __slots__ = ("binding",)
    binding: Binding


class Text(str):
    """SQL text built from verified names or the author's own words: the only kind of string that is not a value."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of SQL that a call returns: `Text` is used as it is, everything else is a value to bind."""

    parts: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """ClickHouse settings that a call such as `max_threads(4)` requests; adds no SQL."""

    values: tuple[tuple[str, str | int], ...]


class Pieces(list[Any]):
    """The output of a macro or a `{% set %}` block: it can only be output again."""

    def __str__(self) -> str:
        """Refuse: once joined to a string, its values could not be bound."""
        message = "the output of a macro or a set block can only be used as {{ name }}"
        raise TemplateError(message)


class Nothing:
    """A parameter that was not given, in a call with `defined=False`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """Count as not given."""
        return False


NOTHING = Nothing()

TypedValue = TypedStr | TypedInt | TypedFloat | TypedDecimal | TypedList

_WRAPPERS: dict[type, Callable[[Any], TypedValue]] = {
    str: TypedStr,
    int: TypedInt,
    float: TypedFloat,
    Decimal: TypedDecimal,
    list: TypedList,
}


def typed(value: ParsedValue, binding: Binding) -> TypedValue:
    """Return the value as its typed class."""
    wrapped = _WRAPPERS[type(value)](value)
    wrapped.binding = binding
    return wrapped


def raw(name: str, value: object) -> Raw | RawList | None:
    """Return a request value as the string (or strings) that template calls validate.

    Python values are converted as a request would send them: True as `1`, a datetime with a space, a list as several
    strings. None means that there is no value.
    """
    if value is None:
        return None
    if isinstance(value, list | tuple):
        many = RawList(_text(item) for item in value)
        many.name = name
        return many
    one = Raw(_text(value))
    one.name = name
    return one


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def concat(parts: Iterable[Any]) -> Pieces:
    """Return the output of a macro or block as one list. Raises TemplateError if it is too long."""
    found = Pieces()
    for part in parts:
        found += part if type(part) is Pieces else (part,)
        if len(found) > MOST_PIECES:
            message = f"a template may produce at most {MOST_PIECES} pieces"
            raise TemplateError(message)
    return found


def weight(value: Any, *, letters: bool = True) -> int:
    """Return the number of characters and items of a value, nested lists included; counting stops above `MOST`."""
    found = 0
    stack = [value]
    while stack and found <= MOST:
        item = stack.pop()
        found += 1
        if isinstance(item, str):
            found += len(item) if letters else 0
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list | tuple):
            stack += item
    return found
