"""The SELECTs that check a node: its renderings, with all they read spliced in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickpipe.compiler.compose import Composer
from clickpipe.compiler.graph import Graph, Key, NodeInfo, Variant, sample_secret
from clickpipe.compiler.known import KnownNames
from clickpipe.compiler.outside import without_sources
from clickpipe.diagnostics import ClickpipeError
from clickpipe.sql import Composition, Syntax, columns_part
from clickpipe.template import SECRET_NAMES, Binder

_NUMBERED = re.compile(r"_\d+$")  # the binder's suffix for a name that is taken


@dataclass(frozen=True, slots=True)
class Statement:
    """A SELECT to check: its SQL and parameters, its composition, and the parameters with made-up values."""

    sql: str
    params: Mapping[str, Any]
    composed: Composition
    made_up: Sequence[str]  # names of parameters

    @property
    def key(self) -> tuple[str, str]:
        """Return a key that is equal for statements with equal answers."""
        return self.sql, repr(self.params)


@dataclass(frozen=True, slots=True)
class InnerWay:
    """Renderings (`numbers`, `simplest` among them) of a node further down that return columns of their own."""

    inner: NodeInfo
    numbers: Sequence[int]
    simplest: int


class Statements:
    """Composes SELECTs, each once."""

    def __init__(self, composer: Composer, names: KnownNames, graph: Graph) -> None:
        """Keep what the SELECTs are composed from."""
        self._composer = composer
        self._names = names
        self._graph = graph
        self._made: dict[int, tuple[Variant, Statement | None]] = {}  # by the variant's id
        self._shapes: dict[tuple[Key, int], list[list[int]]] = {}

    def of(self, info: NodeInfo, variant: Variant) -> Statement | None:
        """Return a rendering's SELECT; None if something it reads raises `error()`, or is unknown."""
        known = self._made.get(id(variant))
        if known is None:
            known = self._made[id(variant)] = (variant, self.with_values(info, variant.values))
        return known[1]

    def shapes(self, info: NodeInfo) -> list[list[int]]:
        """Group the numbers of a node's variants by the columns that they return."""
        key = ((info.pipe.name, info.node.name), len(info.variants))
        if key not in self._shapes:
            parts: dict[str, list[int]] = {}
            for number, variant in enumerate(info.variants if len(info.variants) > 1 else ()):
                if isinstance(variant.syntax, Syntax):
                    parts.setdefault(columns_part(variant.syntax.tree), []).append(number)
            self._shapes[key] = list(parts.values())
        return self._shapes[key]

    def inner_ways(self, info: NodeInfo) -> Iterator[InnerWay]:
        """Yield the variants of nodes further down that `of` does not cover, as it uses the first variant of each."""
        for inner in self._graph.reachable(info.pipe, info.node)[1:]:
            for numbers in self.shapes(inner):
                if 0 not in numbers:
                    yield InnerWay(inner, numbers, min(numbers, key=lambda n: len(inner.variants[n].values)))

    def through(self, info: NodeInfo, way: InnerWay) -> Iterator[Statement]:
        """Yield the node's SELECTs for calls that use these variants, the simplest first."""
        leading = way.inner.variants[way.simplest].values
        for variant in info.variants:
            own = {**info.node.program.required_samples(), **variant.values, **leading}
            made = self.with_values(info, own)
            if made is not None:
                yield made

    def with_values(self, info: NodeInfo, own: Mapping[str, str]) -> Statement | None:
        """Return the node's SELECT for values of its parameters, like `of`."""
        below = self._graph.reachable(info.pipe, info.node)
        programs = [read.node.program for read in below]
        every = {name: value for program in programs for name, value in program.every_sample().items()}
        needed = {name: value for program in programs for name, value in program.required_samples().items()}
        for samples in (needed, every):
            with contextlib.suppress(ClickpipeError):
                binder = Binder(self._names, sample_secret)
                text = info.node.program.render(own, binder)  # first, so that its own placeholders keep their names
                given = {**samples, **own}
                composed = self._composer.text(text, info.pipe, info.node, given, binder)
                sql = without_sources(composed.text)
                chosen = {value for program in programs for value in program.choices()}
                made_up = [name for name, value in binder.params.items() if _made_up(name, value, given, chosen)]
                return Statement(sql, binder.params, composed, made_up) if sql is not None else None
        return None


def _made_up(name: str, value: Any, given: Collection[str], chosen: Collection[str]) -> bool:
    """Return whether the check made up a bound value: it provided it, and the author does not list it."""
    if name.startswith(SECRET_NAMES):
        return True
    if isinstance(value, list):
        return any(_made_up(name, item, given, chosen) for item in value)
    return _NUMBERED.sub("", name) in given and str(value) not in chosen
