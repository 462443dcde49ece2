"""The functions a template may call. A new function is a new entry in `FUNCTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import Undefined

from clickpipe.template.dates import DATE_FUNCTIONS
from clickpipe.template.errors import AuthorError, MissingParameter, TemplateError
from clickpipe.template.types import TYPES, ParamType, validate, validate_items
from clickpipe.template.values import Binding, TypedValue, typed

_NONE: Any = object()


def parameter_name(value: object) -> str:
    """Return the name of the request parameter that `value` is, or 'value' when it is computed."""
    if isinstance(value, Undefined):
        return value._undefined_name or "value"  # noqa: SLF001 - jinja's documented attribute for subclasses
    return getattr(value, "name", None) or "value"


def _typed_call(type_: ParamType) -> Callable[..., TypedValue]:
    def call(value: Any = _NONE, default: Any = _NONE, *, enum: Any = None, **_documentation: Any) -> TypedValue:
        given = _given(value, default)
        parsed = _validated(validate, type_, given)
        _check_enum(enum, given)
        return typed(parsed, _binding(value, default, type_.bind))

    call.type_name = type_.name  # type: ignore[attr-defined]  # so that Array() can take the function for its type
    return call


def _array(value: Any = _NONE, of: Any = "String", default: Any = _NONE, **_documentation: Any) -> TypedValue:
    """`Array(x, 'Int32', default)`: a comma-separated text or a repeated parameter."""
    type_ = TYPES.get(getattr(of, "type_name", of))  # also the bare name: Array(x, Int32)
    if type_ is None:
        message = f"Array of '{of}' is not known"
        raise TemplateError(message)
    given = _given(value, default)
    parsed = _validated(validate_items, type_, given)
    return typed(parsed, _binding(value, default, f"Array({type_.bind})"))


def _given(value: Any, default: Any) -> Any:
    if isinstance(value, Undefined) or value is None:
        if default is _NONE or isinstance(default, Undefined) or default is None:
            raise MissingParameter([parameter_name(value)])
        return default
    if value is _NONE:
        message = "a parameter name is missing in the call"
        raise TemplateError(message)
    return value


def _validated(parse: Callable[[ParamType, Any], Any], type_: ParamType, given: Any) -> Any:
    try:
        return parse(type_, given)
    except ValueError as error:
        raise TemplateError(str(error)) from None


def _check_enum(enum: Any, given: Any) -> None:
    if enum and str(given) not in {str(choice) for choice in enum}:
        choices = ", ".join(str(choice) for choice in enum)
        message = f"'{given}' is not one of the allowed values: {choices}"
        raise TemplateError(message)


def _binding(value: Any, default: Any, type_: str) -> Binding:
    return Binding(parameter_name(value), type_, "" if default is _NONE else repr(default))


def _defined(value: Any = _NONE) -> bool:
    return value is not _NONE and value is not None and not isinstance(value, Undefined)


def _error(message: Any = "") -> None:
    raise AuthorError(str(message))


def _custom_error(message: Any = "", code: int = 400) -> None:
    payload = message if isinstance(message, dict) else None
    raise AuthorError(str(message), status=int(code), payload=payload)


TYPED_CALLS: Mapping[str, Callable[..., TypedValue]] = {
    "Array": _array,
    **{name: _typed_call(type_) for name, type_ in TYPES.items()},
}

FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **TYPED_CALLS,
    **DATE_FUNCTIONS,
    "defined": _defined,
    "not_defined": lambda value=_NONE: not _defined(value),
    "error": _error,
    "custom_error": _custom_error,
    "len": len,
    "min": min,
    "max": max,
    "int": int,
    "float": float,
    "list": list,
    "sorted": sorted,
    "enumerate": enumerate,
}
