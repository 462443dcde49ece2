"""The value of a typed call (a parameter's value or its default), and the errors about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.runtime import Undefined

from clickpipe.template.errors import MissingParameter, TemplateError
from clickpipe.template.run import ANY_ENUM
from clickpipe.template.types import ParamType, a_value_of
from clickpipe.template.values import MOST, Nothing, Raw, RawList, weight


class _Left:
    """Marks an argument that a call left out."""


NONE: Any = _Left()


def parameter_name(value: object) -> str:
    """Return the name of the request parameter that `value` is, or 'value' if it is computed."""
    if isinstance(value, Undefined):
        return value._undefined_name or "value"  # noqa: SLF001 - jinja's documented attribute for subclasses
    return getattr(value, "name", None) or "value"


def value_or_default(value: Any, default: Any) -> Any:
    """Return a parameter's value or default. Raises MissingParameter, or TemplateError for a call without a name."""
    if isinstance(value, list | tuple | dict) and weight(value) > MOST:
        message = f"a list is longer than {MOST} characters and items"
        raise TemplateError(message)
    if value is NONE:
        message = "a parameter name is missing in the call"
        raise TemplateError(message)
    if is_missing(value):
        if default is NONE or isinstance(default, Undefined) or default is None:
            raise MissingParameter([parameter_name(value)])
        return default
    return value


def is_missing(value: Any) -> bool:
    """Return whether a parameter was not given."""
    return value is None or isinstance(value, Undefined | Nothing | _Left)


def refused(message: str, value: object) -> TemplateError:
    """Return the error for an invalid value; `about` lets callers find the value in the author's file."""
    error = TemplateError(message)
    error.about = str(value) if isinstance(value, str | int | float) else ""
    return error


def validated(parse: Callable[[ParamType, Any], Any], type_: ParamType, value: Any, more: str) -> Any:
    """Return a value converted by `parse`. Raises TemplateError with the reason, followed by `more`."""
    try:
        return parse(type_, value)
    except ValueError as error:
        raise refused(f"{error}{more}", value) from None


def example_of(type_: ParamType, documentation: Mapping[str, Any]) -> Any:
    """Return the author's example, or else one of the type."""
    return documentation.get("example") or type_.sample


def takes(value: Any, type_name: str, example: Any) -> str:
    """Return the addition to Tinybird's error: which parameter it is, and what it takes; '' if it is no parameter."""
    return of_parameter(value, a_value_of(type_name, example))


def of_parameter(value: Any, taken: str) -> str:
    """Return the addition to an error about a parameter, which takes `taken`; '' if the value is not a parameter."""
    if not isinstance(value, Raw | RawList | Undefined):
        return ""
    whose = "the default of the parameter" if is_missing(value) else "the parameter"
    return f": {whose} '{parameter_name(value)}' takes {taken}"


def check_enum(enum: Any, said: Any, value: Any) -> None:
    """Raise TemplateError for a value that is not among the author's choices."""
    if enum and str(said) not in {str(choice) for choice in enum} and not ANY_ENUM.get():
        choices = ", ".join(str(choice) for choice in enum)
        message = f"'{said}' is not one of the allowed values: {choices}"
        raise TemplateError(message + of_parameter(value, "one of them"))
