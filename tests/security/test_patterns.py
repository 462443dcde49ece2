"""No pattern takes time that grows with the square of a text: each is tried with texts made to be hard for it."""

from __future__ import annotations

import importlib
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from typing import Any

import pytest
from lark import Lark

from clickpipe.datafile.grammar import parse_columns
from clickpipe.diagnostics import Span, Word
from clickpipe.server.app import ROUTES, route
from clickpipe.template import compile_template
from clickpipe.template.environment import environment
from tests.clock import cpu_seconds
from tests.security.patterns import Source, Used, patterns, sources

sre = importlib.import_module("re._constants")
sre_parse = importlib.import_module("re._parser")

PATTERN = (2_000, 16_000)  # characters for a pattern alone, where the square of the long text takes seconds
PROGRAM = (500, 2_000)  # for what does more with a text than match it
ENOUGH = 0.05  # seconds below which nothing is measured


def _sample(items: Any) -> str:
    """Return a text that a part of a pattern takes."""
    return "".join(_one(op, argument) for op, argument in items)


def _one(op: Any, argument: Any) -> str:
    if op is sre.LITERAL:
        return chr(argument)
    if op is sre.NOT_LITERAL:
        return "b" if argument == ord("a") else "a"
    if op is sre.ANY:
        return "a"
    if op is sre.IN:
        return _member(argument)
    if op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
        low, _, body = argument
        return _sample(body) * int(low)
    if op is sre.SUBPATTERN:
        return _sample(argument[3])
    if op is sre.ATOMIC_GROUP:
        return _sample(argument)
    if op is sre.BRANCH:
        return _sample(argument[1][0])
    return ""


def _member(items: Any) -> str:
    op, argument = items[0]
    if op is not sre.NEGATE:
        if op in {sre.LITERAL, sre.RANGE}:
            return str(chr(argument if op is sre.LITERAL else argument[0]))
        return " " if argument is sre.CATEGORY_SPACE else "1" if argument is sre.CATEGORY_DIGIT else "a"
    left_out = {chr(a) for o, a in items[1:] if o is sre.LITERAL}
    left_out |= {c for c in "a1_" if (sre.CATEGORY, sre.CATEGORY_WORD) in items}
    left_out |= {c for c in " \n" if (sre.CATEGORY, sre.CATEGORY_SPACE) in items}
    return next(c for c in "a .,;1'\n-" if c not in left_out)


def _attacks(items: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Yield for each repetition in a pattern what leads to it, and what it takes again and again."""
    for op, argument in items:
        if op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
            _, high, body = argument
            if high is sre.MAXREPEAT:
                for sample in {_sample(body), *_choices(body)} - {""}:
                    yield before, sample
                    if before:
                        yield "", before + sample  # the whole beginning, again and again
        for inner in _inside(op, argument):
            yield from _attacks(inner, before)
        before += _one(op, argument)


def _inside(op: Any, argument: Any) -> list[Any]:
    """Return the patterns in a part of a pattern."""
    if op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
        return [argument[2]]
    if op is sre.BRANCH:
        return list(argument[1])
    at = {sre.SUBPATTERN: 3, sre.ASSERT: 1, sre.ASSERT_NOT: 1}.get(op)
    return [argument[at]] if at is not None else [argument] if op is sre.ATOMIC_GROUP else []


def _choices(items: Any) -> Iterator[str]:
    for op, argument in items:
        if op is sre.BRANCH:
            for branch in argument[1]:
                yield _sample(branch)
        elif op is sre.IN and argument[0][0] is not sre.NEGATE:
            for single in argument:
                yield _member([single])
        elif op is sre.SUBPATTERN:
            yield from _choices(argument[3])


# Tried where the last one ended, until one is not there: no more than once at each place.
IN_TURN = {"clickpipe.datafile.plain._COLUMN", "clickpipe.datafile.scanner._SHELL_WORD"}
# Bounded by what they are given: some hundred characters.
SHORT_TEXTS = {"clickpipe.template.assemble._LITERAL_ONLY", "clickpipe.template.assemble._TEXT_ONLY"}
FOUND, UNKNOWN = patterns(sources())
EVERY = [used for used in FOUND if used.where not in SHORT_TEXTS]
ENDS = ("\x01", "\n\x01", "'", " \x01x")


def test_the_text_of_each_pattern_is_found_out() -> None:
    assert UNKNOWN == []
    assert len(EVERY) > 250
    assert {used.where for used in FOUND} >= SHORT_TEXTS | IN_TURN


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("re.match('a+', x)", ["a+"]),
        ("re.sub(pattern='b+', repl='', string=x)", ["b+"]),
        ("P = re.compile('a' + 'b')", ["ab"]),
        ("P = {1: [re.compile('a')], 2: re.compile('b')}", ["a", "b"]),
        ("def f(x, p=re.compile('d')): ...", ["d"]),
        ("class C:\n    x = 'c'\n    p = re.compile('c' * 2)", ["cc"]),
        ("def f():\n    p = '(a*)*'\n    return re.compile(p)", ["(a*)*"]),
        ("def f(p):\n    return re.compile(p + '$')\nf('x')\nf(p='y')", ["x$", "y$"]),
        ("def f(y):\n    return re.search(rf'{re.escape(y)}x', y)", [r"a\-bx"]),
        ("def f(y):\n    z = re.escape(y.encode())\n    return re.search(b'[%s]' % z, y)", [rb"[a\-b]"]),
        ("f = lambda x: re.split(HELD, x)", ["h+"]),
    ],
)
def test_a_pattern_is_found_wherever_it_is_written(text: str, found: list[Any]) -> None:
    source = Source.of("m", text, {"re": re, "HELD": "h+"})
    told, unknown = patterns((source,))
    assert {used.pattern.pattern for used in told} >= {*found}
    assert len(told) <= 2 * len(found)
    assert unknown == []


@pytest.mark.parametrize(
    "text",
    [
        "re.compile(open(x).read())",
        "def f(x):\n    return re.compile(x)",
        "def f(x):\n    for y in x:\n        re.search(y, x)",
        "def f(x):\n    with x as y:\n        re.search(y, x)",
        "def f(x):\n    return [re.match(y, x) for y in x]",
        "map(re.compile, x)",
        "g = re.sub",
        "getattr(re, 'compile')('a')",
        "from re import compile",
        "import regex",
        "def f():\n    import re as r\n    r.compile('(a*)*')",
    ],
)
def test_a_pattern_that_is_not_found_out_is_told(text: str) -> None:
    _, unknown = patterns((Source.of("m", text, {"re": re}),))
    assert len(unknown) == 1


def _hold(
    pattern: str | bytes,
    flags: int,
    run: Callable[[Any], object],
    contexts: tuple[str, ...] = ("",),
    lengths: tuple[int, int] = PATTERN,
) -> None:
    """Try texts that are made to be hard for a pattern: the time grows with the length, not with its square."""
    least, most = lengths
    times = most / least
    tree = sre_parse.parse(pattern if isinstance(pattern, str) else pattern.decode("latin-1"), flags & ~re.LOCALE)
    for (before, pump), context, after in itertools.product(dict.fromkeys(_attacks(tree)), contexts, ENDS):
        few, short, long = (
            f"{context}{before}{pump * count}{after}" for count in (26, least // len(pump), most // len(pump))
        )
        texts: list[Any] = [few, short, long]
        if isinstance(pattern, bytes):
            texts = [text.encode("latin-1", "replace") for text in texts]
        said = f"{pattern!r} with {context!r}{before!r} + {pump!r}… + {after!r}"
        assert cpu_seconds(partial(run, texts[0]), times=3, enough=0.1) < 0.1, f"{said}: 26 of it"
        took = cpu_seconds(partial(run, texts[2]), times=4, enough=ENOUGH)
        if took < ENOUGH:
            continue
        ratio = took / cpu_seconds(partial(run, texts[1]), times=3)
        if ratio >= times * times * 0.5:  # measure again: the machine may have stood still
            ratio = cpu_seconds(partial(run, texts[2]), times=8) / cpu_seconds(partial(run, texts[1]), times=8)
        assert ratio < times * times * 0.5, f"{said}: {took:.3f} s, {ratio:.0f} times"


def _run(used: Used) -> Callable[[Any], object]:
    """Return what looks for a pattern as the program does."""
    if used.once or used.where in IN_TURN:
        return lambda text: (used.pattern.match(text), used.pattern.fullmatch(text))
    return lambda text: deque(used.pattern.finditer(text), 0)


@pytest.mark.parametrize("used", [pytest.param(used, id=used.where) for used in EVERY])
def test_no_pattern_is_quadratic(used: Used) -> None:
    _hold(used.pattern.pattern, used.pattern.flags, _run(used))


SCHEMA = Lark((files("clickpipe.datafile") / "schema.lark").read_text(), parser="lalr", lexer="contextual")
PLACES = ("", "a ", "a String ", "a Enum8(", "a String DEFAULT ", "a String DEFAULT f(")


@pytest.mark.parametrize("terminal", [pytest.param(t.pattern, id=t.name) for t in SCHEMA.terminals])
def test_no_terminal_of_schemas_is_quadratic(terminal: Any) -> None:
    def parse(text: str) -> object:
        return parse_columns(Word(text, Span("a.datasource", 0, len(text))))

    pattern = re.compile(terminal.to_regexp(), sum(_FLAGS[flag] for flag in terminal.flags))
    _hold(pattern.pattern, pattern.flags, pattern.match)
    _hold(pattern.pattern, pattern.flags, parse, PLACES, PROGRAM)


_FLAGS = {"i": re.IGNORECASE, "s": re.DOTALL, "m": re.MULTILINE, "x": re.VERBOSE}
TEMPLATES = [
    pytest.param(rule.pattern, id=f"{state}-{number}")
    for state, rules in environment().lexer.rules.items()
    for number, rule in enumerate(rules)
]


@pytest.mark.parametrize("pattern", TEMPLATES)
def test_no_pattern_of_templates_is_quadratic(pattern: re.Pattern[str]) -> None:
    def compile_(text: str) -> object:
        return compile_template(Word(text, Span("a.pipe", 0, len(text))))

    contexts = ("", "%\n", "%\n{{", "%\n{% if ", "%\n{% raw %}", "%\n{#")
    _hold(pattern.pattern, pattern.flags, pattern.match)
    _hold(pattern.pattern, pattern.flags, compile_, contexts, PROGRAM)


def test_no_path_of_a_route_is_quadratic() -> None:
    assert len(ROUTES) > 60
    for one in ROUTES:
        pattern = route(*one).path_regex
        _hold(pattern.pattern, pattern.flags, pattern.match)
