"""Typed template values: what a typed call such as `Int32(x, 5)` returns.

Inside `{% %}` they are plain Python values (`Int32(x, 5) > 3` compares numbers); inside `{{ }}` they
become ClickHouse query parameters, bound with the type whose behaviour equals the literal the
original renders (dates as strings: see docs/templates.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ParamValue = str | int | float | list[Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """How a typed value is bound: parameter name, ClickHouse type, and the call's default as a key."""

    name: str
    type: str
    key: str


class Raw(str):
    """A request parameter as it came, which remembers its name."""

    __slots__ = ("name",)
    name: str


class RawList(list[str]):
    """A request parameter given several times, which remembers its name."""

    __slots__ = ("name",)
    name: str


class TypedStr(str):
    """A string with its binding."""

    __slots__ = ("binding",)
    binding: Binding


class TypedInt(int):
    """An integer with its binding; arithmetic gives a plain int."""

    binding: Binding


class TypedFloat(float):
    """A float with its binding; arithmetic gives a plain float."""

    __slots__ = ("binding",)
    binding: Binding


class TypedList(list[Any]):
    """A list with its binding."""

    __slots__ = ("binding",)
    binding: Binding


TypedValue = TypedStr | TypedInt | TypedFloat | TypedList

_WRAPPERS: dict[type, Callable[[Any], TypedValue]] = {
    str: TypedStr,
    int: TypedInt,
    float: TypedFloat,
    list: TypedList,
}


def typed(value: ParamValue, binding: Binding) -> TypedValue:
    """Return the value as its typed kind."""
    wrapped = _WRAPPERS[type(value)](value)
    wrapped.binding = binding
    return wrapped


def raw(name: str, value: object) -> Raw | RawList | None:
    """Return what a caller sent as the text (or texts) that template calls validate.

    Python values are written as a request would write them: True as `1`, a datetime with a blank,
    a list as several texts; None is no value at all.
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
