"""Values to query parameters. The one place where a value meets SQL text, and it never enters it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from clickpipe.template.errors import TemplateError
from clickpipe.template.names import NO_NAMES, Names
from clickpipe.template.run import Secrets, no_secret
from clickpipe.template.sandbox import in_json
from clickpipe.template.types import DECIMAL_DIGITS, DECIMAL_SCALE
from clickpipe.template.values import (
    Binding,
    ParamValue,
    Raw,
    RawList,
    TypedDecimal,
    TypedFloat,
    TypedInt,
    TypedList,
    TypedStr,
)

SECRET_NAMES = "secret_"  # noqa: S105 - what the names of bound secrets begin with
_MOST_DIGITS = 100  # of a decimal number that a template makes
_LONG = 4  # characters of a secret that does not stand in a value by chance
_TYPED = frozenset({TypedStr, TypedInt, TypedFloat, TypedDecimal, TypedList})


@dataclass(frozen=True, slots=True)
class BoundSQL:
    """SQL text with `{name:Type}` placeholders, the parameters' values, and query settings."""

    text: str
    params: Mapping[str, Any]
    settings: Mapping[str, str | int] = field(default_factory=dict)


class Binder:
    """Collects the parameters and settings of one request; the nodes of a pipe share one.

    The names it gives depend on the calls that ran, never on their values, so equal branches give
    equal SQL text. `names` are what templates may put into SQL as names, `secret` gives what `tb_secret`
    asks for.
    """

    def __init__(self, names: Names = NO_NAMES, secret: Secrets = no_secret) -> None:
        """Start with no parameters."""
        self.params: dict[str, ParamValue] = {}
        self.settings: dict[str, str | int] = {}
        self.names = names
        self.secret = secret
        self.told: dict[str, str] = {}  # the secrets that were asked for, by name
        self._names: dict[Binding, tuple[str, str]] = {}
        self._numbers: dict[str, int] = {}  # the next one behind a name that is taken

    def ask(self, name: str) -> str | None:
        """Return a secret's value, None where there is none of the name; what is made of it is a secret, too."""
        value = self.secret(name)
        if value:
            self.told[name] = value
        return value

    def placeholder(self, value: Any) -> str:
        """Return the `{name:Type}` that stands for a value, and keep the value under that name."""
        return self.bind(value)[0]

    def bind(self, value: Any) -> tuple[str, str]:
        """Return the placeholder of a value and its ClickHouse type."""
        if type(value) in _TYPED:
            binding = value.binding
            known = self._names.get(binding)
            if known is None:
                plain = _plain(value)
                name = self._free(self._wanted(plain, binding.name))
                known = self._names[binding] = (_standing(name, binding.type), binding.type)
                self.params[name] = plain
            return known
        plain, type_ = _untyped(value)
        name = self._free(self._wanted(plain, value.name if isinstance(value, Raw | RawList) else "value"))
        self.params[name] = plain
        return _standing(name, type_), type_

    def _wanted(self, value: ParamValue, name: str) -> str:
        """Return the name for a value: that of a secret where one stands in it."""
        if not self.told or name.startswith(SECRET_NAMES):
            return name
        items = value if isinstance(value, list) else [value]
        held = any(len(s) >= _LONG and s in item for s in self.told.values() for item in items if isinstance(item, str))
        return f"{SECRET_NAMES}part" if held else name

    def _free(self, wanted: str) -> str:
        base = wanted if wanted.isascii() and wanted.isidentifier() else "p"
        name, number = base, self._numbers.get(base, 2)
        while name in self.params:
            name, number = f"{base}_{number}", number + 1
        self._numbers[base] = number
        return name


def _standing(name: str, type_: str) -> str:
    """Return what stands for a parameter in SQL.

    A secret has an alias: ClickHouse calls a column without a name by its text, with the values of parameters in it.
    """
    placeholder = f"{{{name}:{type_}}}"
    return f"({placeholder} AS `__{name}`)" if name.startswith(SECRET_NAMES) else placeholder


def _plain(value: Any) -> ParamValue:
    """Return a value without what is remembered of it; decimal numbers as text, which loses no digit."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return float(value) if isinstance(value, float) else [_plain(item) for item in value]


def _untyped(value: Any) -> tuple[ParamValue, str]:
    """Return value and type for what is not a typed call: a bare name, arithmetic, a list."""
    if isinstance(value, bool):
        return int(value), "UInt8"
    if isinstance(value, int):
        if not -(1 << 255) <= value < 1 << 255:
            message = "a number is too large"
            raise TemplateError(message)
        return int(value), "Int64" if -(1 << 63) <= value < 1 << 63 else "Int256"
    if isinstance(value, float):
        return float(value), "Float64"
    if isinstance(value, Decimal):
        if not value.is_finite() or not -_MOST_DIGITS < value.adjusted() < _MOST_DIGITS:
            message = "a number is too large"
            raise TemplateError(message)
        return format(value, "f"), f"Decimal({DECIMAL_DIGITS}, {DECIMAL_SCALE})"
    if isinstance(value, str):
        return str(value), "String"
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=in_json), "String"
    if isinstance(value, list | tuple):
        return _list(list(value))
    message = f"a value of type {type(value).__name__} cannot be put into SQL"
    raise TemplateError(message)


def _list(items: list[Any]) -> tuple[ParamValue, str]:
    bound = [_untyped(item) for item in items]
    types = {type_ for _, type_ in bound} or {"String"}
    if len(types) == 1:
        return [value for value, _ in bound], f"Array({types.pop()})"
    return [str(item) for item in items], "Array(String)"
