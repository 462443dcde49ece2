"""Finds the values with which a template has to be rendered to cover all of its branches.

Only parameters used in conditions are varied: each is omitted, given, and given the values that it is compared with.
All combinations are tried up to a limit; beyond it, enough to cover every pair of values. Values that cannot be
rendered (a parameter is missing or refused) are dropped, and of those that take the same path, one is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from jinja2 import TemplateError as JinjaError, nodes

from clickpipe.concurrency import remembered
from clickpipe.diagnostics import ClickpipeError
from clickpipe.template.dates import DATE_FUNCTIONS
from clickpipe.template.discover import Parameter
from clickpipe.template.environment import MARK, Emitted, parse
from clickpipe.template.errors import MissingParameter
from clickpipe.template.run import Run
from clickpipe.template.shape import KEPT, known_parameters, program
from clickpipe.template.types import TYPES
from clickpipe.template.values import Fragment, Pieces

MISTAKES = (JinjaError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
_MOST_COMBINATIONS = 512
_MOST_VALUES = 10  # per parameter
_ANOTHER = "another value"
_DOCUMENTATION = frozenset({"description", "example", "format"})  # keywords that do not restrict values
_MOST_STEPS = 100_000  # of loops and macros, in all renderings of one template
_MOMENTS = ("2023-01-01 00:00:00", "2023-01-01 06:00:00", "2023-01-04 00:00:00", "2024-03-01 00:00:00")


@dataclass(frozen=True, slots=True)
class Sample:
    """Values that take one path through a template.

    `stretches` are the numbers of the author's stretches on that path, `also` other values that take the same path.
    """

    values: Mapping[str, str]
    stretches: frozenset[int]
    also: tuple[Mapping[str, str], ...] = ()


class _Anything:
    """A collection that contains every name: the path through a template does not depend on names."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


_ANYTHING = _Anything()


@dataclass(frozen=True, slots=True)
class _AnyNames:
    columns: Any = _ANYTHING
    tables: Any = _ANYTHING
    listed: Any = ()
    any_enum: bool = False

    def inside(self, pipe: str) -> _AnyNames:
        del pipe
        return self


@dataclass(slots=True)
class _Budget:
    """The steps left for exploring the paths through one template."""

    steps: int = _MOST_STEPS


def _run(text: str, values: Mapping[str, str], budget: _Budget) -> list[Any]:
    """Return the output of a shape's program for parameters given as text. Raises whatever its expressions raise."""
    compiled = program(text)
    state = Run(_AnyNames(), lambda _: "x", compiled.constants)
    try:
        return compiled.run(values, state)
    finally:
        budget.steps -= state.steps


def sample(parameter: Parameter) -> str:
    """Return an example value of a parameter, as text."""
    if parameter.enum:
        return parameter.enum[0]
    refused = {value for value, _ in parameter.odd}
    if isinstance(parameter.default, str | int | float) and str(parameter.default) not in {"", *refused}:
        return str(parameter.default)
    name = parameter.type.removeprefix("Array(").removesuffix(")")
    return "{}" if name == "JSON" else TYPES[name].sample


@remembered(KEPT)
def controls(text: str) -> Mapping[str, tuple[str, ...]]:
    """Return the parameters that a shape's conditions use, each with the values that make a difference."""
    parameters = {p.name: p for p in known_parameters(text) or ()}
    tree = parse(text)
    found: dict[str, dict[str, None]] = {}
    meant = _variables(tree, parameters.keys())
    for condition in _conditions(tree):
        for name in _names(condition, meant):
            found.setdefault(name, {sample(parameters[name]): None})
        for comparison in _within(condition, (nodes.Compare, nodes.Call)):
            constants = [str(int(c) if isinstance(c, bool) else c) for c in _constants(comparison)]
            for name in _names(comparison, meant):
                values = found.setdefault(name, {sample(parameters[name]): None})
                values |= dict.fromkeys(v for c in constants for v in _near(c, parameters[name].type))
        if any(name.name in DATE_FUNCTIONS for name in _within(condition, nodes.Name)):
            for name in _names(condition, meant):
                size = 19 if "Time" in parameters[name].type else 10
                found[name] |= dict.fromkeys(moment[:size] for moment in _MOMENTS)
    for name, values in found.items():
        parameter = parameters[name]
        values.update(dict.fromkeys(parameter.enum))
        if parameter.type == "String" and not parameter.enum and len(values) > 1:
            values[_ANOTHER] = None  # the sample may be the value that it is compared with
        if parameter.type == "Boolean" or parameter.type.startswith(("Int", "UInt")):
            values.update({"0": None, "1": None})
    return {
        name: (*tuple(values)[: _MOST_VALUES - 1], *tuple(values)[_MOST_VALUES - 1 :][-1:])
        for name, values in found.items()
    }


def _near(constant: str, type_: str) -> Iterable[str]:
    """Return a constant and, for integers, its neighbours, to cover any kind of comparison."""
    if type_.startswith(("Int", "UInt")) and constant.lstrip("-").isdigit():
        return (constant, str(int(constant) - 1), str(int(constant) + 1))
    return (constant,)


def _conditions(tree: nodes.Template) -> Iterator[nodes.Node]:
    yield from (node.test for node in tree.find_all(nodes.If))
    yield from (node.test for node in tree.find_all(nodes.CondExpr))
    for loop in tree.find_all(nodes.For):
        yield loop.iter
    for assign in tree.find_all(nodes.Assign):
        yield assign.node


def _variables(tree: nodes.Template, parameters: Iterable[str]) -> Mapping[str, set[str]]:
    """Map each name to the parameters that it depends on: itself, or those that a variable is computed from."""
    meant = {name: {name} for name in parameters}
    for assign in tree.find_all(nodes.Assign):
        made_of = _names(assign.node, meant)
        for target in _within(assign.target, nodes.Name):
            meant.setdefault(target.name, set()).update(made_of)
    return meant


def _names(node: nodes.Node, meant: Mapping[str, set[str]]) -> list[str]:
    return sorted({p for name in _within(node, nodes.Name) for p in meant.get(name.name, ())})


def _constants(node: nodes.Node) -> Iterator[Any]:
    documentation = {id(k.value) for k in _within(node, nodes.Keyword) if k.key in _DOCUMENTATION}
    for constant in _within(node, nodes.Const):
        if isinstance(constant.value, str | int | float) and id(constant) not in documentation:
            yield constant.value


def _within(node: nodes.Node, kind: Any) -> Iterator[Any]:
    """Yield the nodes of a kind in an expression, including itself."""
    if isinstance(node, kind):
        yield node
    yield from node.find_all(kind)


@remembered(KEPT)
def explore(text: str) -> tuple[Sample, ...]:
    """Return values for each path through a shape: first with as few parameters as possible, then with all."""
    every = {p.name: sample(p) for p in known_parameters(text) or ()}
    varied = controls(text)
    found: dict[tuple[Any, ...], list[Mapping[str, str]]] = {}
    starts: list[Mapping[str, str | None]] = [{}, dict(every)]
    starts += [dict(zip(varied, row, strict=True)) for row in _rows([(None, *values) for values in varied.values()])]
    budget = _Budget()
    for start in starts:
        if budget.steps < 0:
            break  # long loops: make do with the paths found so far
        reached = _reach(text, start, every, budget)
        if reached is not None:
            values, pieces = reached
            found.setdefault(tuple(_flat(pieces)), []).append(values)
    return tuple(Sample(values, _stretches(way), tuple(also)) for way, (values, *also) in found.items())


def _stretches(way: Iterable[str]) -> frozenset[int]:
    return frozenset(int(n) for piece in way if piece.startswith(MARK) for n in piece.split(MARK)[1:])


def _reach(
    text: str, start: Mapping[str, str | None], every: Mapping[str, str], budget: _Budget
) -> tuple[Mapping[str, str], list[Any]] | None:
    """Return the values, with those added that the path requires, and the output; None if the path is unreachable."""
    values = {name: value for name, value in start.items() if value is not None}
    while True:
        try:
            return values, _run(text, values, budget)
        except MissingParameter as error:
            left_out = {name for name, value in start.items() if value is None}
            more = {n: every[n] for n in error.needed if n in every and n not in values and n not in left_out}
            if not more:
                return None
            values |= more
        except (ClickpipeError, *MISTAKES):
            return None


def _flat(pieces: Iterable[Any]) -> Iterator[str]:
    """Yield the output of a path: marks of the author's text, names, and a symbol for each value."""
    for piece in pieces:
        value = piece.value if type(piece) is Emitted else piece
        if type(piece) is str:
            yield piece
        elif isinstance(value, Pieces):
            yield from _flat(value)
        elif isinstance(value, Fragment):
            yield from (f"name {part}" for part in value.parts)
        else:
            binding = getattr(value, "binding", None)
            yield f"value {binding.name} {binding.type}" if binding else f"value {type(value).__name__}"


def _rows(options: Sequence[Sequence[str | None]]) -> Iterable[Sequence[str | None]]:
    """Return combinations of one option each: all of them or, if these are too many, enough to cover every pair."""
    if not options:
        return []
    return product(*options) if prod(map(len, options)) <= _MOST_COMBINATIONS else _pairwise(options)


def _pairwise(options: Sequence[Sequence[str | None]]) -> list[list[str | None]]:
    places = range(len(options))
    open_pairs = {(i, a, j, b): None for i in places for j in places[i + 1 :] for a in options[i] for b in options[j]}
    rows: list[list[str | None]] = []
    while open_pairs and len(rows) < _MOST_COMBINATIONS:
        first, a, second, b = next(iter(open_pairs))
        row: dict[int, str | None] = {first: a, second: b}
        for place in places:
            if place not in row:
                row[place] = max(options[place], key=lambda o, at=place: _met(open_pairs, row, at, o))  # type: ignore[misc]
        rows.append([row[place] for place in places])
        for i in places:
            for j in places[i + 1 :]:
                open_pairs.pop((i, row[i], j, row[j]), None)
    return rows


def _met(
    open_pairs: Mapping[tuple[int, str | None, int, str | None], None],
    row: Mapping[int, str | None],
    place: int,
    option: str | None,
) -> int:
    """Count the pairs that an option would cover."""
    pairs = ((p, v, place, option) if p < place else (place, option, p, v) for p, v in row.items())
    return sum(pair in open_pairs for pair in pairs)
