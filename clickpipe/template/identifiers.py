"""Functions that put a name into SQL: `column`, `symbol`, `columns`, `table`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined

from clickpipe.template import names
from clickpipe.template.errors import MissingName, MissingParameter, TemplateError
from clickpipe.template.given import of_parameter
from clickpipe.template.run import run_of
from clickpipe.template.values import Fragment, Text

_NONE: Any = object()
_FUNCTION = re.compile(r"^[A-Za-z_]\w*$", re.ASCII)
_Quote = Callable[..., Text]


def _name(value: Any, default: Any) -> str:
    if isinstance(value, Undefined) or value is None or value is _NONE:
        if default is _NONE:
            raise MissingParameter([getattr(value, "_undefined_name", None) or "value"])
        return str(default)
    return str(value)


def _quoted(quote: _Quote, what: str, name: str, value: Any, default: Any, known: tuple[Any, ...]) -> Text:
    """Return a name as SQL text. Raises UnknownName, which names the parameter and what it takes."""
    try:
        return quote(name, *known)
    except names.UnknownName as error:
        example = "" if default is _NONE else f", such as {default}"
        error.message += of_parameter(value, f"the name of a {what}{example}")
        error.args = (error.message,)
        raise


def _call(quote: _Quote, what: str) -> Callable[..., Fragment]:
    @pass_context
    def call(context: Context, value: Any = _NONE, default: Any = _NONE, *, enum: Any = None, **_more: Any) -> Fragment:
        name = _name(value, default)
        run = run_of(context)
        own = [*([] if default is _NONE else [str(default)]), *(str(choice) for choice in enum or ())]
        if enum and name not in own:
            message = f"'{name}' is not one of the allowed values: {', '.join(dict.fromkeys(own))}"
            raise TemplateError(message + of_parameter(value, "one of them"))
        return Fragment((_quoted(quote, what, name, value, default, (run.names, own, run.constants)),))

    return call


@pass_context
def _columns(
    context: Context, value: Any = _NONE, default: Any = _NONE, function: Any = None, **_more: Any
) -> Fragment:
    """`columns(x, 'a,b', 'sum')`: comma-separated names, each wrapped in a call of the function."""
    if default is _NONE and (value is None or value is _NONE or isinstance(value, Undefined)):
        message = "Missing columns() default value, use `columns(column_names, 'default_column_name')`"
        raise MissingName(getattr(value, "_undefined_name", None) or "value", message)
    run = run_of(context)
    if function is not None and not (_FUNCTION.match(str(function)) and str(function) in run.constants):
        message = "the function of columns() must be written in the template as a string, such as 'sum'"
        raise TemplateError(message)
    own = [] if default is _NONE else [part.strip() for part in str(default).split(",")]
    given = value if isinstance(value, list) else _name(value, default).split(",")
    known = (run.names, own, run.constants)
    quoted = [_quoted(names.column, "column", str(part).strip(), value, default, known) for part in given]
    shown = quoted if function is None else [f"{function}({name}) as {name}" for name in quoted]
    return Fragment((Text(",".join(shown)),))


_column = _call(names.column, "column")
_symbol = _call(names.identifier, "column")
_table = _call(names.table, "data source or pipe")

FUNCTIONS: Mapping[str, Callable[..., Fragment]] = {
    "column": _column,
    "Column": _column,
    "columns": _columns,
    "symbol": _symbol,
    "Symbol": _symbol,
    "table": _table,
    "TABLE": _table,
}
