"""The names of a project that templates may put into SQL with `column(x)` and `table(x)`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cached_property

from clickpipe.project import Pipe, Project

_WORD = re.compile(r"\w+")
_ANY_TABLE = re.compile(r"\b(?:table|symbol)\s*\(", re.IGNORECASE)  # can read tables that the text does not name
_ALIAS = re.compile(r"\bAS\s+(?:`([^`\n]+)`|([A-Za-z_]\w*))", re.IGNORECASE)


class KnownNames:
    """Columns of data sources and aliases in SQL; data sources and pipes. Computed on first use."""

    def __init__(self, project: Project, *, any_enum: bool = False) -> None:
        """Keep the project; `any_enum`: see `ProjectRules`."""
        self._project = project
        self.any_enum = any_enum
        self._of: dict[str, PipeNames] = {}

    @cached_property
    def columns(self) -> frozenset[str]:
        """Return the columns of all data sources, and every alias in the pipes' SQL."""
        return _columns(self._project, self._project.data_sources, self._project.pipes.values())

    @cached_property
    def tables(self) -> frozenset[str]:
        """Return the data sources and pipes."""
        return frozenset(self._project.data_sources.keys() | self._project.pipes.keys())

    @property
    def listed(self) -> frozenset[str]:
        """Return all columns: whoever deploys may see them."""
        return self.columns

    def inside(self, pipe: str) -> KnownNames:
        """Return the same names for every pipe."""
        del pipe
        return self

    def of(self, pipe: Pipe) -> PipeNames:
        """Return the names visible to a pipe's SQL; errors reveal only these to its callers."""
        if pipe.name not in self._of:
            self._of[pipe.name] = PipeNames(self, self._project, pipe)
        return self._of[pipe.name]


class PipeNames:
    """Columns of what a pipe reads, directly or through pipes, by the words in their SQL; data sources and pipes."""

    def __init__(self, every: KnownNames, project: Project, pipe: Pipe) -> None:
        """Names are computed on first use."""
        self._every, self._project, self._pipe = every, project, pipe
        self.any_enum = every.any_enum

    @cached_property
    def columns(self) -> frozenset[str]:
        """Return the columns that templates may use."""
        return self._every.columns if self._seen[1] else self.listed

    @cached_property
    def listed(self) -> frozenset[str]:
        """Return the columns of tables named in the texts; callers may not know what else `table()` can read."""
        sources, pipes = self._seen[0]
        return _columns(self._project, sources, pipes)

    def inside(self, pipe: str) -> PipeNames:
        """Return the same names for every pipe that it reads."""
        del pipe
        return self

    @cached_property
    def _seen(self) -> tuple[tuple[Collection[str], Collection[Pipe]], bool]:
        """Return the data sources and pipes that are named, and whether there may be others."""
        by_word: dict[str, list[str]] = {}
        for name in (*self._project.data_sources, *self._project.pipes):
            by_word.setdefault(name.rpartition(".")[2], []).append(name)
        pipes, sources, waiting, any_table = {self._pipe.name: self._pipe}, set[str](), [self._pipe], False
        while waiting:
            text = "\n".join(node.program.source.text for node in waiting.pop().nodes)
            any_table = any_table or _ANY_TABLE.search(text) is not None
            for name in (name for word in set(_WORD.findall(text)) for name in by_word.get(word, ())):
                if name in self._project.data_sources:
                    sources.add(name)
                elif name not in pipes:
                    pipes[name] = self._project.pipes[name]
                    waiting.append(pipes[name])
        return (sources, pipes.values()), any_table

    @property
    def tables(self) -> frozenset[str]:
        """Return the data sources and pipes."""
        return self._every.tables


def _columns(project: Project, sources: Iterable[str], pipes: Iterable[Pipe]) -> frozenset[str]:
    found = {column.name for name in sources for column in project.data_sources[name].columns}
    for pipe in pipes:
        for node in pipe.nodes:
            found |= {quoted or bare for quoted, bare in _ALIAS.findall(node.program.source.text)}
    return frozenset(found)
