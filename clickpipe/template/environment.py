"""Configures jinja2 for the dialect: `{% end %}`, `<<Call(...)>>`, typed output, a sandbox."""

from __future__ import annotations

from functools import cache
from itertools import islice
from keyword import iskeyword
from typing import Any, cast

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.ext import LoopControlExtension
from jinja2.runtime import Undefined
from jinja2.visitor import NodeTransformer

from clickpipe.template import functions
from clickpipe.template.errors import MissingName, TemplateError
from clickpipe.template.functions import DIRECT, FUNCTIONS, TYPED_CALLS
from clickpipe.template.run import counted, endless, get_variable, set_variable
from clickpipe.template.sandbox import (
    FILTERS,
    TESTS,
    Sandbox,
    charged,
    join,
    join_filter,
    made,
    round_filter,
    text,
    total,
    whole_filter,
)
from clickpipe.template.source import normalise, pythonic
from clickpipe.template.tags import ENDLESS, EndTag, While
from clickpipe.template.values import (
    MOST,
    Fragment,
    Pieces,
    Raw,
    Setting,
    TypedDecimal,
    TypedFloat,
    TypedInt,
    TypedList,
    TypedStr,
    weight,
)

_PLAIN = frozenset({TypedStr, TypedInt, TypedFloat, TypedDecimal, TypedList, Raw, Fragment, Setting, int, float, bool})
MARK = "\0"  # precedes the number of a stretch of the author's text
_OWN = "_clickpipe_"  # prefix of the names that are added to a template's program
_COUNTED, _SET, _GET, _JOIN, _MADE, _PARAMETER = (
    f"{_OWN}{name}" for name in ("counted", "set", "get", "join", "made", "parameter")
)
_CALLED = {f"{_OWN}{name}": function for name, function in FUNCTIONS.items()}  # even if a parameter has the name
OWN = (_COUNTED, _SET, _GET, _JOIN, _MADE, _PARAMETER, ENDLESS, *_CALLED)  # functions that any program may call
_NO_WORDS = frozenset({"data", "whitespace", "comment", "comment_begin", "comment_end", "raw_begin", "raw_end"})


class Emitted:
    """A string produced by an expression in `{{ }}`; plain strings in a template's output are marks."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        """Keep the string."""
        self.value = value


def emit(value: Any) -> Any:
    """Pass an expression's value on to the binder. Raises TemplateError if there is none."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return Emitted(value)
    if value is None or isinstance(value, Undefined):
        name = getattr(value, "_undefined_name", None)
        message = f'expression "{name or "None"}" evaluated to null'
        raise MissingName(name, message) if name else TemplateError(message)
    if isinstance(value, list | tuple | dict) and kind is not Pieces and weight(value) > MOST:
        message = f"a list is longer than {MOST} characters and items"
        raise TemplateError(message)
    return value


@cache
def environment() -> Sandbox:
    """Return the shared environment; it holds no state of any template."""
    extensions = [EndTag, While, LoopControlExtension]
    env = Sandbox(extensions=extensions, keep_trailing_newline=True, autoescape=False, cache_size=0)
    env.globals.clear()
    env.globals.update(FUNCTIONS)
    env.globals["range"] = _bounded_range
    env.globals |= {_COUNTED: counted, ENDLESS: endless, _SET: set_variable, _GET: get_variable, _PARAMETER: _parameter}
    env.globals |= {_JOIN: join, _MADE: made}
    env.globals |= _CALLED
    env.filters = {name: filter_ for name, filter_ in env.filters.items() if name in FILTERS}
    env.filters |= {"join": join_filter, "string": text, "sum": total, "round": round_filter, "int": whole_filter}
    env.tests = {name: test for name, test in env.tests.items() if name in TESTS}
    env.filters = {name: charged(filter_) for name, filter_ in env.filters.items()}
    return env


def _parameter(name: str, found: Any) -> Any:
    """Return the parameter that has a function's name, undefined if the name still refers to the function."""
    return environment().undefined(name=name) if found is FUNCTIONS[name] else found


def _bounded_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > 10_000:  # noqa: PLR2004 - same order of magnitude as the sandbox's own limit
        message = "range() is limited to 10000 items"
        raise TemplateError(message)
    return numbers


def data_offsets(source: str) -> list[int]:
    """Return the start of each stretch of plain text, in the order in which jinja's parser meets them."""
    offsets = []
    at = 0
    for _, kind, part in environment().lexer.tokeniter(source, None):
        found = source.find(part, at)
        at = found if found >= 0 else at
        if kind == "data" and part:
            offsets.append(at)
        at += len(part)
    return offsets


def has_more_words(sql: str, most: int) -> bool:
    """Return whether the tags of a template have more than `most` words and symbols."""
    try:
        words = (kind for _, kind, _ in environment().lexer.tokeniter(normalise(sql), None) if kind not in _NO_WORDS)
        return sum(1 for _ in islice(words, most + 1)) > most
    except TemplateSyntaxError:
        return False  # parsing will report it


def parse(source: str) -> nodes.Template:
    """Parse normalised text. Raises jinja2.TemplateSyntaxError."""
    if _OWN in source:
        message = f"names that start with {_OWN} are reserved"
        raise TemplateSyntaxError(message, source.count("\n", 0, source.index(_OWN)) + 1)
    try:
        return environment().parse(source)
    except RecursionError:
        message = "brackets or tags are nested too deeply"
        raise TemplateSyntaxError(message, 1) from None
    except ValueError:  # from Python, for a number with thousands of digits
        message = "a number is too large"
        raise TemplateSyntaxError(message, 1) from None
    except TemplateSyntaxError as error:
        raise pythonic(source) or error from None


def build(source: str) -> Template:
    """Compile normalised text to a template that outputs marks (with their numbers) for the author's stretches."""
    env = environment()
    tree = parse(source)
    number = 0
    for output in list(tree.find_all(nodes.Output)):
        children: list[nodes.Expr] = []
        for child in output.nodes:
            if isinstance(child, nodes.TemplateData):
                children.append(nodes.TemplateData(f"{MARK}{number}", lineno=child.lineno))
                number += 1
            else:
                children.append(_direct(f"{__name__}.emit", child))
        output.nodes = children
    local = {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    local |= {macro.name for macro in tree.find_all(nodes.Macro)}
    tree = _Rewritten(_lasting_variables(tree), frozenset(local)).visit(tree)
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = _call(_COUNTED, loop.iter)
    try:
        code = env.compile(tree)
    except (SyntaxError, RecursionError) as error:  # raised by Python for the code that jinja generates
        message = error.msg if isinstance(error, SyntaxError) else "brackets or tags are nested too deeply"
        raise TemplateSyntaxError(message, 1) from None
    return Template.from_code(env, code, env.globals)


class _Rewritten(NodeTransformer):
    """Rewrites a syntax tree so that `~` is bounded, and the run keeps the variables instead of jinja's scopes."""

    def __init__(self, variables: frozenset[str], local: frozenset[str]) -> None:
        self._variables = variables
        self._local = local

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        """Leave a macro's own variables alone."""
        outside, self._variables = self._variables, frozenset()
        self.generic_visit(node)
        self._variables = outside
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call(_JOIN, *node.nodes)

    def _written(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Node:
        """Weigh a list literal, unless it consists of constants only."""
        self.generic_visit(node)
        inner = node.find_all(nodes.Expr)
        constant = all(isinstance(n, nodes.Const | nodes.List | nodes.Tuple | nodes.Dict) for n in inner)
        return node if constant or getattr(node, "ctx", "load") != "load" else _call(_MADE, node)

    visit_List = visit_Tuple = visit_Dict = _written  # noqa: N815 - jinja2's names

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.target, nodes.Name) and node.target.name in self._variables:
            value = cast(nodes.Expr, node.node)
            return nodes.ExprStmt(_call(_SET, nodes.Const(node.target.name), value), lineno=node.lineno)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        """Call the dialect's own functions directly, unless the template uses the name for something else."""
        called = node.node
        name = called.name if isinstance(called, nodes.Name) else ""
        if name and name not in self._variables:
            node.node = nodes.Const(None)  # keep the function's name from being taken for a parameter's
        self.generic_visit(node)
        node.node = called if isinstance(node.node, nodes.Const) else node.node
        plain = node.dyn_args is None and node.dyn_kwargs is None and not any(iskeyword(k.key) for k in node.kwargs)
        if plain and name in DIRECT and name not in self._local:
            node.node = nodes.ImportedName(f"{functions.__name__}.{name}", lineno=node.lineno)
        elif name in FUNCTIONS and name not in self._local:
            node.node = nodes.Name(f"{_OWN}{name}", "load", lineno=node.lineno)  # a parameter may have the same name
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if node.ctx == "load" and node.name in self._variables:
            return _call(_GET, nodes.Const(node.name), node)
        if node.ctx == "load" and node.name in FUNCTIONS and node.name not in {*self._local, *TYPED_CALLS}:
            return _call(_PARAMETER, nodes.Const(node.name), node)
        return node


def _lasting_variables(tree: nodes.Template) -> frozenset[str]:
    """Return the names set by `{% set %}`, if the template sets any inside a loop, or sets lists.

    jinja forgets these at the end of the loop; Python does not (and lists are weighed). Loop variables are not
    included.
    """
    inside = any(loop.find(nodes.Assign) for loop in tree.find_all(nodes.For))
    lists = (nodes.List, nodes.Tuple, nodes.Dict)
    if not inside and not any(any(a.node.find_all(lists)) for a in tree.find_all(nodes.Assign)):
        return frozenset()
    names: set[str] = set()
    others: list[nodes.Node] = [loop.target for loop in tree.find_all(nodes.For)]
    for assign in tree.find_all(nodes.Assign):
        if isinstance(assign.target, nodes.Name):
            names.add(assign.target.name)
        else:
            others.append(assign.target)
    taken = {n.name for o in others for n in (o, *o.find_all(nodes.Name)) if isinstance(n, nodes.Name)}
    return frozenset(names - taken)


def _direct(function: str, argument: nodes.Expr) -> nodes.Call:
    call = _call("", argument)
    call.node = nodes.ImportedName(function, lineno=argument.lineno)
    return call


def _call(function: str, *arguments: nodes.Expr) -> nodes.Call:
    line = arguments[0].lineno
    call = nodes.Call(nodes.Name(function, "load", lineno=line), list(arguments), [], None, None, lineno=line)
    call.set_environment(environment())
    for argument in arguments:
        argument.lineno = argument.lineno or line
    return call
