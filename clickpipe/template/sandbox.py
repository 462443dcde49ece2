"""Restricts a template's expressions to known methods of plain values and results of bounded size."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sized
from decimal import Decimal
from types import BuiltinMethodType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.compiler import Frame
from jinja2.exceptions import SecurityError
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clickpipe.template.errors import TemplateError
from clickpipe.template.run import run_of
from clickpipe.template.values import MOST, Pieces, concat, weight

_MOST_BITS, _MOST_DIGITS = 4_096, 100  # in a number; after its decimal point
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        (
            *(
                "capitalize",
                "count",
                "endswith",
                "find",
                "index",
                "isalnum",
                "isalpha",
                "isdigit",
                "islower",
                "isnumeric",
            ),
            *("isupper", "join", "lower", "lstrip", "removeprefix", "removesuffix", "replace", "rsplit", "rstrip"),
            *("split", "splitlines", "startswith", "strip", "title", "upper"),
        )
    ),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    dict: frozenset({"get", "items", "keys", "values"}),
}
_LOOP = frozenset({"index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem"})
FILTERS = frozenset(
    (
        *("abs", "capitalize", "count", "d", "default", "first", "float", "int", "join", "last", "length", "list"),
        *("lower", "max", "min", "reverse", "round", "sort", "string", "sum", "title", "trim", "unique", "upper"),
    )
)
TESTS = frozenset(
    (
        *("!=", "<", "<=", "==", ">", ">=", "boolean", "defined", "divisibleby", "eq", "equalto", "even", "false"),
        *("float", "ge", "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping"),
        *("ne", "none", "number", "odd", "sameas", "sequence", "string", "true", "undefined", "upper"),
    )
)


class _Generator(NativeCodeGenerator):
    """Generates plain calls for the dialect's own functions (imported names), which need no guard."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        """Write infinity and NaN, which have no literal in Python, as a call."""
        infinite = isinstance(node.value, float) and not math.isfinite(node.value)
        self.write(f"float('{node.value}')") if infinite else super().visit_Const(node, frame)

    def visit_Call(self, node: nodes.Call, frame: Frame, forward_caller: bool = False) -> None:  # noqa: FBT001, FBT002, N802
        if not isinstance(node.node, nodes.ImportedName):
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.visit(node.node, frame)
        self.write("(")
        for argument in (*node.args, *node.kwargs):
            self.visit(argument, frame)
            self.write(", ")
        self.write(")")


class Sandbox(ImmutableSandboxedEnvironment):
    """jinja2's sandbox with an allow-list of methods, and limits on the size of results."""

    # Expressions reach the output as objects, not as strings: the binder turns them into parameters.
    code_generator_class = _Generator
    concat = staticmethod(concat)  # type: ignore[assignment]  # what a macro puts out stays apart, too
    intercepted_binops = frozenset({"+", "*", "**", "%", "/", "//"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ARG002 - jinja2's signature
        """Allow harmless methods of plain values, and the attributes of `loop`."""
        for kind, methods in _METHODS.items():
            if isinstance(obj, kind):
                return attr in methods
        return type(obj).__name__ == "LoopContext" and attr in _LOOP

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Apply a binary operator, with a result of bounded size."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            return _number(operator, left, right)
        if operator == "%" and isinstance(left, str):
            message = "% does not format texts here; join them with ~"
            raise TemplateError(message)
        if operator == "*" and (isinstance(left, int) or isinstance(right, int)):
            sized, times = (left, right) if isinstance(left, Sized) else (right, left)
            if isinstance(sized, Sized):
                _spend(context, weight(sized) * max(0, int(times)))
        elif operator == "+" and isinstance(left, Sized) and isinstance(right, Sized):
            _spend(context, weight(left) + weight(right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function; string methods only if the result has a bounded size."""
        if isinstance(function, Macro):
            run_of(context).step(sum(map(weight, (*args, *kwargs.values()))))
        elif isinstance(function, BuiltinMethodType) and isinstance(function.__self__, str):
            _spend(context, _size(function, args, kwargs))
        elif isinstance(function, Undefined):
            message = f"'{function._undefined_name}' is not a function that can be called here"  # noqa: SLF001 - as above
            raise TemplateError(message)
        return context.call(function, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse `format`: a width could make a string of any size."""
        if isinstance(value, BuiltinMethodType) and value.__name__ in {"format", "format_map"}:
            message = "format() is not allowed; join texts with ~"
            raise SecurityError(message)
        return None


def text(value: Any = "") -> str:
    """Return a value as a string like `str()`, if it is not too long."""
    if isinstance(value, Pieces):
        return str(value)  # raises
    _bounded(weight(value))
    return str(in_json(value) if callable(value) and not isinstance(value, Undefined) else value)


def in_json(value: Any) -> Any:
    """Convert a value that JSON cannot represent. Raises TemplateError for functions."""
    if isinstance(value, Undefined):
        return None
    if isinstance(value, Decimal):
        return str(value)
    message = f"a value of type {type(value).__name__} cannot be written as a text"
    raise TemplateError(message)


def rounded(value: Any, digits: Any = None) -> Any:
    """Round a number like `round()`, with a limited number of digits."""
    if digits is None:
        return round(value)
    number = int(digits)
    if abs(number) > _MOST_DIGITS:
        message = f"round() takes at most {_MOST_DIGITS} digits"
        raise TemplateError(message)
    return round(value, number)


def round_filter(value: Any, precision: Any = 0, method: str = "common") -> float:
    """Round like jinja2's filter."""
    if method == "common":
        return float(rounded(value, precision))
    scale = 10 ** min(max(int(precision), 0), _MOST_DIGITS)
    found: int = {"ceil": math.ceil, "floor": math.floor}[method](value * scale)
    return float(found / scale)


def whole(value: Any = 0, base: Any = 10) -> int:
    """Return a value as an integer like `int()`, of a bounded size."""
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() > _MOST_BITS // 4:
        message = "a number is too large"
        raise TemplateError(message)
    return int(value, int(base)) if isinstance(value, str) else int(value)


def whole_filter(value: Any, default: Any = 0, base: Any = 10) -> Any:
    """Return a value as an integer, or the default, like jinja2's filter."""
    try:
        return whole(value, base)
    except (TypeError, ValueError, OverflowError):
        try:
            return int(float(value))
        except (TypeError, ValueError, OverflowError):
            return default


def charged(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function or filter that counts steps for its arguments when called."""
    asked = getattr(function, "jinja_pass_arg", None)

    @pass_context
    def call(context: Context, *args: Any, **kwargs: Any) -> Any:
        run_of(context).step(sum(map(weight, args)) // 10)
        if asked is None:
            return function(*args, **kwargs)
        return function({"environment": context.environment}.get(asked.name, context), *args, **kwargs)

    return call


@pass_context
def made(context: Context, items: Any) -> Any:
    """Return a list literal of a template, weighed: lists of the same lists could grow without bound."""
    _bounded(weight(items))
    run_of(context).step(weight(items, letters=False))
    return items


@pass_context
def join(context: Context, *parts: Any) -> str:
    """Join strings like `~`."""
    texts = [text(part) for part in parts]
    _spend(context, sum(len(t) for t in texts))
    return "".join(texts)


def join_filter(items: Iterable[Any], separator: str = "") -> str:
    """Join the items' strings, like jinja2's filter."""
    texts = [text(item) for item in items]
    _bounded(sum(len(t) + len(separator) for t in texts))
    return separator.join(texts)


def total(numbers: Iterable[Any], start: Any = 0) -> Any:
    """Add numbers like `sum()`."""
    for number in numbers:
        if not isinstance(number, int | float | Decimal):
            message = "sum() takes only numbers"
            raise TemplateError(message)
        start = start + number
    return start


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "*": operator.mul,
    "**": operator.pow,
    "%": operator.mod,
    "/": operator.truediv,
    "//": operator.floordiv,
}


def _number(operator_: str, left: float, right: float) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if operator_ == "**" else left.bit_length() + right.bit_length()
        if bits > _MOST_BITS:
            message = "a number is too large"
            raise TemplateError(message)
    return _OPERATORS[operator_](left, right)


def _spend(context: Context, size: int) -> None:
    """Count the creation of a string or list of this size as steps. Raises TemplateError if it exceeds a limit."""
    _bounded(size)
    run_of(context).step(size // 5)


def _bounded(size: int) -> None:
    if size > MOST:
        message = f"a string or list is longer than {MOST} characters or items"
        raise TemplateError(message)


def _size(method: BuiltinMethodType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Return the maximum length of the string that a method may create."""
    own = str(method.__self__)
    values = [*args, *kwargs.values()]
    if method.__name__ == "replace":
        new = max((len(v) for v in values[1:] if isinstance(v, str)), default=0)
        return (len(own) + 1) * max(1, new)
    if method.__name__ == "join":
        if not values or not isinstance(values[0], list | tuple | dict | str):
            message = "join() takes a list of strings"
            raise TemplateError(message)
        return sum(len(part) + len(own) for part in values[0] if isinstance(part, str))
    return len(own)
