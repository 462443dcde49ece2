"""Binds values to query parameters. The only place where values meet SQL text, which they never enter."""

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

SECRET_NAMES = "secret_"  # noqa: S105 - prefix of the names of bound secrets
_MOST_DIGITS = 100  # of a decimal number computed by a template
_LONG = 4  # shortest secret that is unlikely to appear in a value by chance
_TYPED = frozenset({TypedStr, TypedInt, TypedFloat, TypedDecimal, TypedList})


@dataclass(frozen=True, slots=True)
class BoundSQL:
    """SQL text with `{name:Type}` placeholders, the parameters' values, and query settings."""

    text: str
    params: Mapping[str, Any]
    settings: Mapping[str, str | int] = field(default_factory=dict)


class Binder:
    """Collects the parameters and settings of one request; the nodes of a pipe share one.

    The names it assigns depend on the calls that ran, never on their values, so that equal branches give equal SQL
    text. `names` are the names that templates may put into SQL; `secret` returns the value that `tb_secret` asks for.
    """

    def __init__(self, names: Names = NO_NAMES, secret: Secrets = no_secret) -> None:
        """Start with no parameters."""
        self.params: dict[str, ParamValue] = {}
        self.settings: dict[str, str | int] = {}
        self.names = names
        self.secret = secret
        self.used_secrets: dict[str, str] = {}  # the secrets used so far, by name
        self._names: dict[Binding, tuple[str, str]] = {}
        self._numbers: dict[str, int] = {}  # the next suffix for a name that is taken

    def ask(self, name: str) -> str | None:
        """Return a secret's value, or None if it does not exist. Values derived from it are treated as secret, too."""
        value = self.secret(name)
        if value:
            self.used_secrets[name] = value
        return value

    def placeholder(self, value: Any) -> str:
        """Return the `{name:Type}` placeholder of a value, and store the value under that name."""
        return self.bind(value)[0]

    def bind(self, value: Any) -> tuple[str, str]:
        """Return a value's placeholder and its ClickHouse type."""
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
        """Return the parameter name for a value; a secret's name if the value contains one."""
        if not self.used_secrets or name.startswith(SECRET_NAMES):
            return name
        items = value if isinstance(value, list) else [value]
        held = any(
            len(s) >= _LONG and s in item for s in self.used_secrets.values() for item in items if isinstance(item, str)
        )
        return f"{SECRET_NAMES}part" if held else name

    def _free(self, wanted: str) -> str:
        base = wanted if wanted.isascii() and wanted.isidentifier() else "p"
        name, number = base, self._numbers.get(base, 2)
        while name in self.params:
            name, number = f"{base}_{number}", number + 1
        self._numbers[base] = number
        return name


def _standing(name: str, type_: str) -> str:
    """Return a parameter's expression in SQL.

    A secret gets an alias: ClickHouse names a column without one after its text, including the values of parameters.
    """
    placeholder = f"{{{name}:{type_}}}"
    return f"({placeholder} AS `__{name}`)" if name.startswith(SECRET_NAMES) else placeholder


def _plain(value: Any) -> ParamValue:
    """Return a plain value without its binding; decimal numbers as text, to keep every digit."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return float(value) if isinstance(value, float) else [_plain(item) for item in value]


def _untyped(value: Any) -> tuple[ParamValue, str]:
    """Return value and type for anything but a typed call: a bare name, arithmetic, a list."""
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
