"""Templates that differ only in their plain text share one parse and one compiled program.

Parameters and control flow depend on the tags alone: the shape is the template with each stretch of plain text between
them replaced by one line end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Template, TemplateError as JinjaError, nodes
from jinja2.runtime import Context

from clickpipe.concurrency import remembered
from clickpipe.diagnostics import Span, Word
from clickpipe.template.discover import Parameter, find_parameters, forbidden_tags
from clickpipe.template.environment import OWN, build, data_offsets, environment, parse
from clickpipe.template.functions import TYPED_CALLS
from clickpipe.template.identifiers import FUNCTIONS as NAMING
from clickpipe.template.run import ANY_ENUM, RUN, Run
from clickpipe.template.settings import SETTING_FUNCTIONS
from clickpipe.template.source import normalise
from clickpipe.template.values import raw

# A tag without a delimiter inside. A template with anything else but these and plain text is its own shape.
_TAG = re.compile(r"\{\{(?![-+])[^{}%#\0]*(?<![-+])\}\}|\{%(?![-+])[^{}%#\0]*(?<![-+])%\}")
_DELIMITER = re.compile(r"\{[{%#]|[}%#]\}|[\0\r]|^\}|\{\Z")
_RAW = re.compile(r"\{%\s*raw\b")
KEPT = 4_000_000  # characters of shapes to remember
# Code generation always succeeds for trees of these nodes; for others (an unknown filter) we have to try.
_CERTAIN = frozenset(
    {
        *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Name, nodes.Const, nodes.Call),
        *(nodes.Keyword, nodes.List, nodes.Tuple, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not),
        *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Neg),
    }
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Plain text of the author's, with its offset in the template."""

    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Shape:
    """A template's shape, and the text that it leaves out; `tags` are (offset in the shape, offset in the template)."""

    text: str
    stretches: tuple[Stretch, ...]
    tags: tuple[tuple[int, int], ...] = ()

    def line(self, line: int, source: str) -> int:
        """Map a line of the shape to a line of the template."""
        if not self.tags:
            return line
        start = 0
        for _ in range(line - 1):
            start = self.text.find("\n", start) + 1
        before = [tag for tag in self.tags if tag[0] <= start] or [self.tags[0]]
        at, offset = before[-1]
        return source.count("\n", 0, offset + max(0, start - at)) + 1


def template_shape(sql: str) -> Shape:
    """Return the shape of a node's SQL."""
    source = normalise(sql)
    parts: list[str] = []
    stretches: list[Stretch] = []
    tags: list[tuple[int, int]] = []
    at = length = 0
    for match in _TAG.finditer(source):
        if match.start() > at:
            stretches.append(Stretch(source[at : match.start()], at))
            parts.append("\n")
            length += 1
        tags.append((length, match.start()))
        parts.append(match.group())
        length += len(match.group())
        at = match.end()
    if at < len(source):
        stretches.append(Stretch(source[at:], at))
        parts.append("\n")
    if any(_DELIMITER.search(s.text) for s in stretches) or _RAW.search(source):
        return Shape(source, _stretches(source))
    return Shape("".join(parts), tuple(stretches), tuple(tags))


def _stretches(source: str) -> tuple[Stretch, ...]:
    try:
        offsets = data_offsets(source)
        texts = [text for _, kind, text in environment().lexer.tokeniter(source, None) if kind == "data" and text]
    except JinjaError:
        return ()  # parsing will report what is wrong
    assert len(texts) == len(offsets)  # noqa: S101 - both walk over the same tokens
    return tuple(Stretch(text, offset) for text, offset in zip(texts, offsets, strict=True))


@remembered(KEPT)
def known_parameters(text: str) -> tuple[Parameter, ...] | None:
    """Return the parameters of a shape; None if it has errors or cannot be parsed."""
    word = Word(text, Span("", 0, len(text)))
    try:
        tree = parse(text)
        if any(type(node) not in _CERTAIN or _repeats(node) for node in tree.find_all(nodes.Node)):
            program(text)
    except JinjaError:
        return None
    parameters, diagnostics = find_parameters(tree, word)
    return None if diagnostics or any(forbidden_tags(tree, word)) else tuple(parameters)


def _repeats(node: nodes.Node) -> bool:
    """Return whether a call repeats a keyword, which Python refuses."""
    return isinstance(node, nodes.Call) and len({k.key for k in node.kwargs}) < len(node.kwargs)


@dataclass(frozen=True, slots=True)
class Compiled:
    """A shape's program; `constants` are the strings in its tags, `functions` the functions that it uses, by name."""

    template: Template
    constants: frozenset[str]
    functions: Mapping[str, Any]

    def run(self, values: Mapping[str, Any], run: Run) -> list[Any]:
        """Return the output of the program for parameter values. Raises whatever its expressions raise."""
        scope = {**self.functions, RUN: run}
        for name, value in values.items():
            if value is not None:
                scope[name] = raw(name, value)
        render = self.template.root_render_func
        if not run.names.any_enum:
            return list(render(Context(environment(), scope, None, {})))
        token = ANY_ENUM.set(True)
        try:
            return list(render(Context(environment(), scope, None, {})))
        finally:
            ANY_ENUM.reset(token)


# Nodes of templates that run in time linear in their text and values.
_QUICK = frozenset(
    {
        *(
            nodes.Template,
            nodes.Output,
            nodes.TemplateData,
            nodes.If,
            nodes.Name,
            nodes.Const,
            nodes.Call,
            nodes.Keyword,
        ),
        *(nodes.List, nodes.Tuple, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub),
        *(nodes.Neg, nodes.Pos, nodes.CondExpr, nodes.Test, nodes.Assign),
    }
)
_QUICK_CALLS = frozenset({*TYPED_CALLS, *NAMING, *SETTING_FUNCTIONS, "defined", "not_defined", "error", "tb_secret"})


@remembered(KEPT)
def is_quick(text: str) -> bool:
    """Return whether a shape's program runs in linear time: no loops, macros, filters and the like."""
    tree = parse(text)
    every = [tree, *tree.find_all(nodes.Node)]
    calls = (node.node for node in every if isinstance(node, nodes.Call))
    return all(type(node) in _QUICK for node in every) and all(
        isinstance(call, nodes.Name) and call.name in _QUICK_CALLS for call in calls
    )


@remembered(KEPT)
def program(text: str) -> Compiled:
    """Return a shape's compiled program."""
    tree = parse(text)
    constants = frozenset(node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str))
    known = environment().globals
    named = {name.name for name in tree.find_all(nodes.Name)} & known.keys()
    own = {name: known[name] for name in (*named, *OWN)}
    return Compiled(build(text), constants, own)
