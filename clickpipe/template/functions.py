"""The functions that a template may call. To add one, add an entry to `FUNCTIONS`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from clickpipe.template import identifiers
from clickpipe.template.binding import SECRET_NAMES
from clickpipe.template.dates import DATE_FUNCTIONS
from clickpipe.template.errors import TemplateError
from clickpipe.template.given import (
    NONE,
    check_enum,
    example_of,
    is_missing,
    parameter_name,
    refused,
    takes,
    validated,
    value_or_default,
)
from clickpipe.template.refusals import custom_error, error
from clickpipe.template.run import run_of
from clickpipe.template.sandbox import charged, rounded, text, total, whole
from clickpipe.template.settings import SETTING_FUNCTIONS
from clickpipe.template.types import (
    DECIMAL_DIGITS,
    DECIMAL_SCALE,
    TYPES,
    ParamType,
    decimal,
    validate,
    validate_items,
)
from clickpipe.template.values import (
    NOTHING,
    Binding,
    Fragment,
    Nothing,
    Raw,
    RawList,
    Text,
    TypedValue,
    typed,
)

_BINDINGS, _COMPUTED = 4_096, count()
_COLUMN = re.compile(r"[A-Za-z_][\w.]*\Z", re.ASCII)
# Keywords of a typed call besides the default; all but `defined` and `enum` are documentation only.
KEYWORDS = frozenset({"default", "description", "required", "enum", "example", "format", "defined", "type", "values"})


class _Bindings:
    """Caches the bindings of a type's calls by parameter name and default."""

    def __init__(self, type_: str) -> None:
        self._type = type_
        self._known: dict[tuple[str, Any], Binding] = {}

    def of(self, value: Any, default: Any) -> Binding:
        """Return the binding of a call; calls with the same name and default share one."""
        if value.__class__ is not Raw and value.__class__ is not Undefined:
            return _binding(value, default, self._type)
        name = value.name if value.__class__ is Raw else parameter_name(value)
        if default.__class__ is not str and default.__class__ is not int and default is not NONE:
            return _binding(value, default, self._type)
        known = self._known.get((name, default))
        if known is None:
            if len(self._known) > _BINDINGS:  # defaults may be computed from request values
                self._known.clear()
            known = self._known[(name, default)] = _binding(value, default, self._type)
        return known


def _typed_call(type_: ParamType) -> Callable[..., TypedValue | Nothing]:
    parse, bindings = type_.parse, _Bindings(type_.bind)

    def call(
        value: Any = NONE, default: Any = NONE, *, enum: Any = None, defined: bool = True, **documentation: Any
    ) -> TypedValue | Nothing:
        if value.__class__ is Raw:
            given = value
        elif not defined and default is NONE and is_missing(value):
            return NOTHING
        else:
            given = value_or_default(value, default)
        if given.__class__ is Raw or given.__class__ is str:
            try:
                parsed = parse(str(given))
            except ValueError:
                more = takes(value, type_.name, example_of(type_, documentation))
                raise refused(f"Error validating '{given}' to type {type_.name}{more}", str(given)) from None
        else:
            parsed = validated(validate, type_, given, takes(value, type_.name, example_of(type_, documentation)))
        if enum:
            check_enum(enum, given, value)
        return typed(parsed, bindings.of(value, default))

    call.type_name = type_.name  # type: ignore[attr-defined]  # lets Array() accept the function as its item type
    return call


def _decimal(value: Any = NONE, default: Any = NONE, *, scale: Any = DECIMAL_SCALE, **more: Any) -> Any:
    """`Decimal(x, default, scale=10)`: a number with `scale` digits after the decimal point."""
    if not isinstance(scale, int) or not 0 <= scale < DECIMAL_DIGITS:
        message = f"scale takes a whole number from 0 to {DECIMAL_DIGITS - 1}"
        raise TemplateError(message)
    type_ = ParamType("Decimal", f"Decimal({DECIMAL_DIGITS}, {scale})", decimal(scale), "1")
    return _typed_call(type_)(value, default, **more)


def _array(
    value: Any = NONE, of: Any = "String", default: Any = NONE, *, defined: bool = True, **documentation: Any
) -> TypedValue | Nothing:
    """`Array(x, 'Int32', default)`: a comma-separated string or a repeated parameter."""
    type_ = TYPES.get(getattr(of, "type_name", of), TYPES["String"])  # also the bare name: Array(x, Int32)
    if not defined and default is NONE and is_missing(value):
        return NOTHING
    given = value_or_default(value, default)
    example = documentation.get("example") or f"{type_.sample},{type_.sample}"
    parsed = validated(validate_items, type_, given, takes(value, f"list of {type_.name}", example))
    return typed(parsed, _binding(value, default, f"Array({type_.bind})"))


def _json(value: Any = NONE, default: Any = NONE, **_documentation: Any) -> Any:
    """`JSON(x, default)`: the parsed JSON, as Python values."""
    given = value_or_default(value, default)
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        message = f"Error validating '{given}' to type JSON"
        raise TemplateError(message + takes(value, "JSON", '{"a": 1}')) from None


def _split_to_array(value: Any = NONE, default: Any = NONE, separator: str = ",") -> list[str]:
    given = value_or_default(value, default)
    items = given if isinstance(given, list | tuple) else str(given).split(str(separator))
    return [str(item).strip() for item in items]


def _enumerate_with_last(items: Iterable[Any]) -> list[tuple[bool, Any]]:
    listed = list(items)
    return [(number == len(listed), item) for number, item in enumerate(listed, 1)]


_COMPARISONS = {
    "": "=",
    "in": "in",
    "not_in": "not in",
    "gt": ">",
    "lt": "<",
    "gte": ">=",
    "lte": "<=",
}


def _sql_and(**conditions: Any) -> Fragment:
    """`sql_and(a=String(x, defined=False), b__in=Array(y, defined=False))`: the given conditions, joined by `and`."""
    parts: list[Any] = []
    for name, value in conditions.items():
        column, _, suffix = name.partition("__")
        if not _COLUMN.match(column):
            message = f"'{column}' is not a column name"
            raise TemplateError(message)
        if suffix not in _COMPARISONS:
            message = f"operand {suffix} not supported"
            raise TemplateError(message)
        if is_missing(value):
            continue
        parts += [Text(f"{' and ' if parts else ''}{column} {_COMPARISONS[suffix]} "), value]
    return Fragment(tuple(parts))


def _sql_unescape(text: Any, what: str = "") -> Any:
    """Return the value unchanged: values are bound, so nothing in them is escaped."""
    del what
    return text


@pass_context
def _secret(context: Context, name: Any = NONE, default: Any = NONE) -> TypedValue:
    """`tb_secret('name', default)`: a secret stored on the server."""
    key = str(parameter_name(name) if isinstance(name, Undefined) or hasattr(name, "name") else name)
    value = run_of(context).secret(key)
    if value is None:
        value = default
    if value is NONE:
        message = f"the secret '{key}' is not set"
        raise TemplateError(message)
    return typed(str(value), Binding(f"{SECRET_NAMES}{key}", "String", ""))


def _binding(value: Any, default: Any, type_: str) -> Binding:
    """Return the binding of a call. Calls with the same parameter and default share one; computed values never do."""
    if isinstance(value, Raw | RawList | Undefined) or value is None:
        return Binding(parameter_name(value), type_, "" if default is NONE else repr(default))
    return Binding(parameter_name(value), type_, f"computed {next(_COMPUTED)}")


TYPED_CALLS: Mapping[str, Callable[..., Any]] = {
    "Array": _array,
    "JSON": _json,
    **{name: _typed_call(type_) for name, type_ in TYPES.items()},
    "Decimal": _decimal,
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **TYPED_CALLS,
    **DATE_FUNCTIONS,
    **SETTING_FUNCTIONS,
    **identifiers.FUNCTIONS,
    "defined": lambda value=NONE: not is_missing(value),
    "not_defined": lambda value=NONE: is_missing(value),
    "split_to_array": _split_to_array,
    "enumerate_with_last": _enumerate_with_last,
    "sql_and": _sql_and,
    "sql_unescape": _sql_unescape,
    "tb_secret": _secret,
    "tb_var": _secret,
    "error": error,
    "custom_error": custom_error,
    "abs": abs,
    "bool": bool,
    "enumerate": enumerate,
    "float": float,
    "int": whole,
    "len": len,
    "list": charged(list),
    "max": charged(max),
    "min": charged(min),
    "round": rounded,
    "sorted": charged(sorted),
    "str": text,
    "sum": charged(total),
}

# Functions that do not depend on the run: compiled templates import them from here.
DIRECT = frozenset(name for name, function in FUNCTIONS.items() if not hasattr(function, "jinja_pass_arg"))


def __getattr__(name: str) -> Callable[..., Any]:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    raise AttributeError(name)
