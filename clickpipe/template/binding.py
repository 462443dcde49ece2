"""Values to query parameters. The one place where a value meets SQL text, and it never enters it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clickpipe.template.errors import TemplateError
from clickpipe.template.values import Binding, ParamValue, Raw, RawList, TypedFloat, TypedInt, TypedList, TypedStr


@dataclass(frozen=True, slots=True)
class BoundSQL:
    """SQL text with `{name:Type}` placeholders, the parameters' values, and query settings."""

    text: str
    params: Mapping[str, ParamValue]
    settings: Mapping[str, str | int] = field(default_factory=dict)


class Binder:
    """Collects the parameters of one request; the nodes of a pipe share one.

    The names it gives depend on the calls that ran, never on their values, so equal branches give
    equal SQL text.
    """

    def __init__(self) -> None:
        """Start with no parameters."""
        self.params: dict[str, ParamValue] = {}
        self._names: dict[Binding, str] = {}

    def placeholder(self, value: Any) -> str:
        """Return the `{name:Type}` that stands for a value, and keep the value under that name."""
        if isinstance(value, TypedStr | TypedInt | TypedFloat | TypedList):
            binding = value.binding
            name = self._names.get(binding)
            if name is None:
                name = self._names[binding] = self._free(binding.name)
                self.params[name] = _plain(value)
            return f"{{{name}:{binding.type}}}"
        plain, type_ = _untyped(value)
        name = self._free(value.name if isinstance(value, Raw | RawList) else "value")
        self.params[name] = plain
        return f"{{{name}:{type_}}}"

    def _free(self, wanted: str) -> str:
        base = wanted if wanted.isascii() and wanted.isidentifier() else "p"
        name, number = base, 2
        while name in self.params:
            name, number = f"{base}_{number}", number + 1
        return name


def _plain(value: TypedStr | TypedInt | TypedFloat | TypedList) -> ParamValue:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else list(value)


def _untyped(value: Any) -> tuple[ParamValue, str]:
    """Return value and type for what is not a typed call: a bare name, arithmetic, a list."""
    if isinstance(value, bool):
        return int(value), "UInt8"
    if isinstance(value, int):
        return int(value), "Int64" if -(1 << 63) <= value < 1 << 63 else "Int256"
    if isinstance(value, float):
        return float(value), "Float64"
    if isinstance(value, str):
        return str(value), "String"
    if isinstance(value, list | tuple):
        return _list(list(value))
    message = f"a value of type {type(value).__name__} cannot be put into SQL"
    raise TemplateError(message)


def _list(items: list[Any]) -> tuple[ParamValue, str]:
    types = {_untyped(item)[1] for item in items} or {"String"}
    if len(types) == 1:
        return items, f"Array({types.pop()})"
    return [str(item) for item in items], "Array(String)"
