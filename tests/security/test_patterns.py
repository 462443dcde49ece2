"""No pattern takes time that grows with the square of a text: each is tried with texts made to be hard for it."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import clickpipe

sre = importlib.import_module("re._constants")
sre_parse = importlib.import_module("re._parser")

ROOT = Path(clickpipe.__file__).parent
SHORT, LONG = 500, 2_000  # characters: four times the text takes 4 times the time, or 16
ENOUGH = 0.003  # seconds below which nothing is measured
MOST = 9.0  # times longer
METHODS = {"match", "fullmatch", "search", "finditer", "findall", "sub", "subn", "split"}


@dataclass(frozen=True)
class Used:
    """A pattern, and whether it is only tried at one place of a text."""

    pattern: Any
    once: bool

    def run(self, text: Any) -> None:
        """Look for the pattern as the program does."""
        if self.once:
            self.pattern.match(text)
            self.pattern.fullmatch(text)
        else:
            deque(self.pattern.finditer(text), 0)


def _patterns() -> Iterator[tuple[str, Used]]:
    """Yield each pattern that a module keeps, in whatever it keeps it, and those given to `re` as a text."""
    everywhere = [_methods(path) for path in ROOT.rglob("*.py")]
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(("clickpipe", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        if module.endswith("__main__"):
            continue
        own = _methods(path)
        loaded = importlib.import_module(module)
        for name, value in vars(loaded).items():
            for number, pattern in enumerate(_held(value)):
                places = [own] if name.startswith("_") else everywhere
                used = set[str]().union(*(methods.get(name, ()) for methods in places))
                once = used != set() and used <= {"match", "fullmatch"}
                yield f"{module}.{name}{number or ''}", Used(pattern, once)
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args:
                of, first, method = call.func.value, call.args[0], call.func.attr
                if isinstance(of, ast.Name) and of.id == "re" and isinstance(first, ast.Constant) and method in METHODS:
                    assert isinstance(first.value, str)
                    yield f"{module}:{call.lineno}", Used(re.compile(first.value), method in {"match", "fullmatch"})


def _methods(path: Path) -> dict[str, set[str]]:
    """Return by the name of a pattern what a module does with it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            of = node.value.value if isinstance(node.value, ast.Subscript) else node.value
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
            if node.attr in METHODS:
                found.setdefault(name, set()).add(node.attr)
    return found


def _held(value: Any) -> Iterator[Any]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _held(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _held(item)
    elif isinstance(value, type) and value.__module__.startswith("clickpipe"):
        for item in vars(value).values():
            yield from _held(item) if isinstance(item, re.Pattern) else ()


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


def _seconds(used: Used, text: Any) -> float:
    began = time.perf_counter()
    used.run(text)
    first = time.perf_counter() - began
    if first < ENOUGH:
        return first
    began = time.perf_counter()
    used.run(text)
    return min(first, time.perf_counter() - began)


# Bounded by what they are given: some hundred characters.
SHORT_TEXTS = {"clickpipe.template.assemble._LITERAL_ONLY", "clickpipe.template.assemble._TEXT_ONLY"}
EVERY = [(name, pattern) for name, pattern in _patterns() if name not in SHORT_TEXTS]


def test_patterns_are_found() -> None:
    assert len(EVERY) > 60


@pytest.mark.parametrize("used", [pytest.param(p, id=n) for n, p in EVERY])
def test_no_pattern_is_quadratic(used: Used) -> None:
    """A text of four times the length takes about four times as long, whatever leads to a repetition and follows it."""
    source = used.pattern.pattern
    tree = sre_parse.parse(source if isinstance(source, str) else source.decode(), used.pattern.flags)
    attacks = dict.fromkeys(_attacks(tree))
    for before, pump in attacks:
        for after in ("\x01", "\n\x01", "'", " \x01x"):
            few = before + pump * 26 + after
            began = time.perf_counter()
            used.run(few if isinstance(source, str) else few.encode())
            assert time.perf_counter() - began < 0.1, f"{source!r} with {before!r} + {pump!r}… + {after!r}: 26 of it"
            texts: list[Any] = [before + pump * (size // len(pump)) + after for size in (SHORT, LONG)]
            short, long = [text.encode() for text in texts] if isinstance(source, bytes) else texts
            took = _seconds(used, long)
            if took < ENOUGH:
                continue
            ratio = took / max(_seconds(used, short), 1e-5)
            assert ratio < MOST, f"{source!r} with {before!r} + {pump!r}… + {after!r}: {took:.3f} s, {ratio:.0f} times"
