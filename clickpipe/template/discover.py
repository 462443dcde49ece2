"""Finds a template's parameters in its syntax tree, without running it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import nodes

from clickpipe.diagnostics import Diagnostic, Severity, Word, did_you_mean
from clickpipe.template.dates import DATE_FUNCTIONS, DAYS
from clickpipe.template.environment import environment
from clickpipe.template.functions import FUNCTIONS, KEYWORDS, TYPED_CALLS
from clickpipe.template.identifiers import FUNCTIONS as NAMING
from clickpipe.template.moments import odd_moment
from clickpipe.template.types import TYPES, a_value_of, validate, validate_items

_RESERVED = {"format", "q", "self", "super"}
_MISSING = object()
_DECLARING = {*TYPED_CALLS, *NAMING, "split_to_array"}  # calls that declare something about a parameter
_MORE_KEYWORDS = {
    "Decimal": frozenset({"scale"}),
    "split_to_array": frozenset({"separator"}),
    "columns": frozenset({"function"}),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query function, as the template's calls declare it.

    `type` is the dialect's name (`Int32`, `Array(String)`); `required` is True if a call without a default runs when
    nothing is given; `default` is the call's default as a Python constant, or None; `typed` is False for a bare name;
    `also` are other types that the same template declares it with; `odd` are pairs of a default, choice or example that
    does not fit the type, or is no valid date or time, and what is wrong with it.
    """

    name: str
    type: str = "String"
    default: Any = None
    required: bool = True
    description: str = ""
    enum: tuple[str, ...] = ()
    example: str = ""
    format: str = ""
    typed: bool = False
    also: tuple[str, ...] = ()
    odd: tuple[tuple[str, str], ...] = ()


def taken_by(parameter: Parameter) -> str:
    """Describe what values a parameter takes, with the author's example or one of the type."""
    of = parameter.type.removeprefix("Array(").removesuffix(")")
    one = '{"a": 1}' if of == "JSON" else TYPES[of].sample
    refused = {value for value, _ in parameter.odd}
    said = next((v for v in (parameter.example, *parameter.enum) if v and v not in refused), "")
    if of != parameter.type:
        return a_value_of(f"list of {of}", said or f"{one},{one}")
    return a_value_of(of, said or one)


def find_parameters(tree: nodes.Template, source: Word) -> tuple[list[Parameter], list[Diagnostic]]:
    """Return the parameters in order of appearance, and diagnostics about the calls."""
    local = _assigned(tree)
    found: dict[str, Parameter] = {}
    diagnostics: list[Diagnostic] = []
    for node in tree.find_all((nodes.Call, nodes.Name)):
        if isinstance(node, nodes.Call):
            for name, type_ in _moments(node, local):
                found.setdefault(name, Parameter(name, type_))
            parameter, problem = _from_call(node, local, source)
            if problem is not None:
                diagnostics.append(problem)
            if parameter is not None:
                known = found.get(parameter.name)
                if known is None or not known.typed:
                    found[parameter.name] = parameter
                else:
                    found[parameter.name] = _with(known, parameter)
        elif (
            isinstance(node, nodes.Name)
            and node.ctx == "load"
            and node.name not in local
            and node.name not in environment().globals
        ):
            found.setdefault(node.name, Parameter(node.name))
    diagnostics += [_reserved(name, source) for name in found if name in _RESERVED]
    return list(found.values()), diagnostics


# Tags that read other templates, or turn output into text: values in that text could not be bound.
_FORBIDDEN: dict[type[nodes.Node], str] = {
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.FilterBlock: "filter",
    nodes.FromImport: "from",
    nodes.Import: "import",
    nodes.Include: "include",
    nodes.ScopedEvalContextModifier: "autoescape",
}


def forbidden_tags(tree: nodes.Template, source: Word) -> Iterator[Diagnostic]:
    """Report jinja tags that the dialect does not have."""
    for node in tree.find_all(tuple(_FORBIDDEN)):
        tag = _FORBIDDEN[type(node)]
        yield problem(source, "CP3001", f"{tag} is forbidden", node.lineno, tag, "use if, for, while, set and macro")


def _assigned(tree: nodes.Template) -> set[str]:
    """Return the names that the template sets itself: loop variables, `set`, macros and their arguments."""
    names = {n.name for n in tree.find_all(nodes.Name) if n.ctx in {"store", "param"}}
    for assign in tree.find_all(nodes.Assign):  # {% set limit = Int32(limit, 10) %} declares a parameter
        target = assign.target
        if isinstance(target, nodes.Name) and any(n.name == target.name for n in assign.node.find_all(nodes.Name)):
            names.discard(target.name)
    return names | {m.name for m in tree.find_all(nodes.Macro)} | {"loop", "caller", "varargs", "kwargs"}


def _moments(call: nodes.Call, local: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the parameters passed to a date difference, with the type that their values must have."""
    if isinstance(call.node, nodes.Name) and call.node.name in DATE_FUNCTIONS:
        type_ = "Date" if call.node.name in DAYS else "DateTime"
        yield from ((a.name, type_) for a in call.args[:2] if isinstance(a, nodes.Name) and a.name not in local)


def _from_call(call: nodes.Call, local: set[str], source: Word) -> tuple[Parameter | None, Diagnostic | None]:
    if not isinstance(call.node, nodes.Name):
        return None, None
    function = call.node.name
    if function in local:
        return None, None
    if function not in FUNCTIONS and function not in environment().globals:
        hint = (
            did_you_mean(function, FUNCTIONS)
            or "the functions of the template language are listed in docs/templates.md"
        )
        return None, problem(source, "CP3002", f"Invalid function name: {function}", call.lineno, function, hint)
    if function not in _DECLARING:
        return None, None
    if (wrong := _wrong_keyword(call, function)) is not None:
        message, word, hint = wrong
        return None, problem(source, "CP3008", message, call.lineno, word, hint)
    if not call.args:
        return None, None
    first = call.args[0]
    if isinstance(first, nodes.Const) and function in TYPED_CALLS:
        message = f'"{first.value}" can not be used as a variable name'
        hint = f"give {function}() the name of a parameter first, then its default: {function}(name, {first.value!r})"
        return None, problem(source, "CP3003", message, call.lineno, function, hint)
    if not isinstance(first, nodes.Name) or first.name in local:
        return None, None
    return _declared(call, function, first.name), None


def _declared(call: nodes.Call, function: str, name: str) -> Parameter:
    keywords = {k.key: _constant(k.value) for k in call.kwargs}
    position = 2 if function == "Array" else 1
    default = _constant(call.args[position]) if len(call.args) > position else keywords.get("default", _MISSING)
    type_ = function if function in TYPED_CALLS else "String"
    if function == "Array":
        of = call.args[1] if len(call.args) > 1 else nodes.Const("String")
        item = of.name if isinstance(of, nodes.Name) else _constant(of)
        type_ = f"Array({item if isinstance(item, str) and item in TYPES else 'String'})"
    enum = keywords.get("enum")
    choices = enum if isinstance(enum, list | tuple) else ()
    values = [default, *choices, keywords.get("example")]
    return Parameter(
        name,
        type_,
        None if default is _MISSING else default,
        default is _MISSING,
        str(keywords.get("description", "")),
        tuple(str(e) for e in choices),
        str(keywords.get("example", "")),
        str(keywords.get("format", "")),
        typed=True,
        odd=tuple(odd for value in values if isinstance(value, str | int | float) for odd in _odd(type_, value)),
    )


def _odd(type_: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield a declared value together with what is wrong with it, if anything."""
    item = type_.removeprefix("Array(").removesuffix(")")
    if item not in TYPES or value == "":
        return
    try:
        (validate if item == type_ else validate_items)(TYPES[item], value)
    except ValueError:
        yield str(value), f"is not a valid {type_}"
        return
    for text in str(value).split(",") if "Date" in item else ():
        if odd := odd_moment(text.strip()):
            yield text.strip(), odd


def _with(known: Parameter, other: Parameter) -> Parameter:
    """Merge two declarations of a parameter: the first one wins, later ones add what it lacks."""
    also = known.also if other.type in {known.type, *known.also} else (*known.also, other.type)
    texts = {k: getattr(known, k) or getattr(other, k) for k in ("description", "enum", "example", "format")}
    odd = tuple(dict.fromkeys((*known.odd, *other.odd)))
    return replace(known, required=known.required or other.required, also=also, odd=odd, **texts)


def _wrong_keyword(call: nodes.Call, function: str) -> tuple[str, str, str] | None:
    """Return (message, word, hint) for the first keyword that the function does not have, or None."""
    allowed = KEYWORDS | _MORE_KEYWORDS.get(function, frozenset())
    for keyword in call.kwargs:
        if keyword.key not in allowed:
            hint = did_you_mean(keyword.key, allowed) or f"the keywords are: {', '.join(sorted(allowed))}"
            return f"{function}() has no keyword '{keyword.key}'", keyword.key, hint
    return None


def odd_arrays(tree: nodes.Template, source: Word) -> Iterator[Diagnostic]:
    """Warn of arrays with an unknown item type: their items are strings."""
    for call in tree.find_all(nodes.Call):
        if not isinstance(call.node, nodes.Name) or call.node.name != "Array" or len(call.args) <= 1:
            continue
        of = call.args[1]
        item = of.name if isinstance(of, nodes.Name) else _constant(of)
        if item is None or (isinstance(item, str) and item in TYPES):
            continue
        name = call.args[0].name if isinstance(call.args[0], nodes.Name) else "name"
        values = [value.strip().strip("'\"") for value in str(item).split(",")]
        enum = f", enum={values!r}" if len(values) > 1 or str(item)[:1] in "'\"" else ""
        hint = did_you_mean(str(item), TYPES) or f"write Array({name}, 'String'{enum})"
        message = f"'{item}' is not a type: the items of the array are strings"
        yield replace(problem(source, "CP3008", message, call.lineno, str(item), hint), severity=Severity.WARNING)


def _constant(node: nodes.Expr) -> Any:
    """Return the value of a constant expression, or None if it is computed."""
    try:
        return node.as_const()
    except nodes.Impossible:
        return None


def _reserved(name: str, source: Word) -> Diagnostic:
    who = "templates use" if name in {"self", "super"} else "requests use"
    message = f"'{name}' cannot be a parameter name: {who} it for something else"
    return problem(source, "CP3006", message, 1, name, f"rename it, for example {name}_param")


def problem(source: Word, code: str, message: str, lineno: int, word: str, hint: str = "") -> Diagnostic:
    """Return a diagnostic at the first whole `word` on or after line `lineno` of the template."""
    start = _line_start(source.text, lineno)
    places: Iterator[re.Match[str]] = re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", source.text) if word else iter(())
    at = next((m.start() for m in places if m.start() >= start), -1)
    if at < 0:
        end = source.text.find("\n", start)
        end = len(source.text) if end < 0 else end
        at = start + len(source.text[start:end]) - len(source.text[start:end].lstrip())
        return Diagnostic(code, message, source.span.sub(at, max(at + 1, end)), hint=hint)
    return Diagnostic(code, message, source.span.sub(at, at + len(word)), hint=hint)


def _line_start(text: str, lineno: int) -> int:
    at = 0
    for _ in range(lineno - 1):
        newline = text.find("\n", at)
        if newline < 0:
            break
        at = newline + 1
    return at
