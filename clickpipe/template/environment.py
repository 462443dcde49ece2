"""jinja2, taught the dialect: `{% end %}`, `<<Call(...)>>`, typed output, a sandbox. jinja2 lives in this room."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.nativetypes import NativeCodeGenerator
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from clickpipe.template.errors import TemplateError
from clickpipe.template.functions import FUNCTIONS

EMIT = "_clickpipe_emit"
MARK = "\0"  # before the number of a stretch of the author's text
_BLOCKS = {"if", "for", "macro", "call", "filter", "block", "with"}
_TAG = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)
_QUOTED_OR_AND = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|&")
_ANGLE_CALL = re.compile(r"<<(\s*[A-Za-z_]\w*\s*\((?:'[^'\n]*'|\"[^\"\n]*\"|[^'\"])*?\)\s*)>>")


@dataclass(frozen=True, slots=True)
class Emitted:
    """A value that an expression in `{{ }}` gave, on its way to the binder."""

    value: Any


def _emit(value: Any) -> Emitted:
    if value is None or isinstance(value, Undefined):
        name = getattr(value, "_undefined_name", None) or "None"
        message = f'expression "{name}" evaluated to null'
        raise TemplateError(message)
    return Emitted(value)


class _EndTag(Extension):
    """Turns `{% end %}` into the tag that closes the innermost open block."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        open_blocks: list[str] = []
        tag: list[Token] = []
        for token in stream:
            if token.type == "block_begin" or tag:
                tag.append(token)
                if token.type == "block_end":
                    yield from self._tag(tag, open_blocks)
                    tag = []
            else:
                yield token
        yield from tag

    def _tag(self, tag: list[Token], open_blocks: list[str]) -> list[Token]:
        if len(tag) < 2 or tag[1].type != "name":  # noqa: PLR2004 - begin, name, …
            return tag
        word = str(tag[1].value)
        block_set = word == "set" and not any(t.type == "assign" for t in tag)
        if word in _BLOCKS or block_set:
            open_blocks.append(word)
        elif word == "end":
            if not open_blocks:
                self.fail("Extra {% end %} block", tag[1].lineno)
            tag[1] = Token(tag[1].lineno, "name", f"end{open_blocks.pop()}")
        elif word.startswith("end") and open_blocks:
            open_blocks.pop()
        return tag

    def fail(self, message: str, lineno: int) -> None:
        raise TemplateSyntaxError(message, lineno)


class _Environment(ImmutableSandboxedEnvironment):
    """Expressions reach the output as objects, not as text: the binder turns them into parameters."""

    code_generator_class = NativeCodeGenerator


@cache
def environment() -> _Environment:
    """Return the one environment; it holds no state of a template."""
    env = _Environment(extensions=[_EndTag], keep_trailing_newline=True, autoescape=False, cache_size=0)
    env.globals.clear()
    env.globals.update(FUNCTIONS)
    env.globals["range"] = _bounded_range
    env.globals[EMIT] = _emit
    return env


def _bounded_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > 10_000:  # noqa: PLR2004 - the sandbox's own order of size
        message = "range() is limited to 10000 items"
        raise TemplateError(message)
    return numbers


def normalise(sql: str) -> str:
    """Return the text jinja reads: the leading `%` blanked, `<<Call()>>` as `{{Call()}}`; same offsets."""
    start = len(sql) - len(sql.lstrip())
    body = f"{sql[:start]} {sql[start + 1 :]}" if sql[start : start + 1] == "%" else sql
    return _TAG.sub(_and, _ANGLE_CALL.sub(r"{{\1}}", body))


def _and(tag: re.Match[str]) -> str:
    """Take `&` between conditions for what is meant: of jinja's operators `*` binds and decides alike."""
    return _QUOTED_OR_AND.sub(lambda m: "*" if m[0] == "&" else m[0], tag[0]) if "&" in tag[0] else tag[0]


def data_offsets(source: str) -> list[int]:
    """Return where each stretch of plain text starts, in the order jinja's parser meets them."""
    offsets = []
    at = 0
    for _, kind, text in environment().lexer.tokeniter(source, None):
        found = source.find(text, at)
        at = found if found >= 0 else at
        if kind == "data" and text:
            offsets.append(at)
        at += len(text)
    return offsets


def parse(source: str) -> nodes.Template:
    """Parse normalised text; raises jinja2.TemplateSyntaxError."""
    try:
        return environment().parse(source)
    except RecursionError:
        message = "brackets or tags are nested too deeply"
        raise TemplateSyntaxError(message, 1) from None


def build(source: str) -> Template:
    """Compile normalised text to a template that yields, for the author's text, marks of its stretches' numbers."""
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
                children.append(_emitted(child))
        output.nodes = children
    try:
        code = env.compile(tree)
    except (SyntaxError, RecursionError) as error:  # what Python refuses of the program that jinja writes
        message = error.msg if isinstance(error, SyntaxError) else "brackets or tags are nested too deeply"
        raise TemplateSyntaxError(message, 1) from None
    return Template.from_code(env, code, env.globals)


def _emitted(value: nodes.Expr) -> nodes.Call:
    function = nodes.Name(EMIT, "load", lineno=value.lineno)
    call = nodes.Call(function, [value], [], None, None, lineno=value.lineno)
    call.set_environment(environment())
    return call
