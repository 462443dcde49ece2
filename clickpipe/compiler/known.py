"""The names of a project that templates may put into SQL: `column(x)`, `table(x)`."""

from __future__ import annotations

import re
from functools import cached_property

from clickpipe.project import Project

_ALIAS = re.compile(r"\bAS\s+(?:`([^`\n]+)`|([A-Za-z_]\w*))", re.IGNORECASE)


class KnownNames:
    """Columns of data sources and what SQL calls its results; data sources and pipes. Looked up when asked for."""

    def __init__(self, project: Project, *, any_enum: bool = False) -> None:
        """Keep the project; `any_enum`: see `ProjectRules`."""
        self._project = project
        self.any_enum = any_enum

    @cached_property
    def columns(self) -> frozenset[str]:
        """Return the columns of all data sources, and every alias in the pipes' SQL."""
        found = {column.name for source in self._project.data_sources.values() for column in source.columns}
        for pipe in self._project.pipes.values():
            for node in pipe.nodes:
                found |= {quoted or bare for quoted, bare in _ALIAS.findall(node.program.source.text)}
        return frozenset(found)

    @cached_property
    def tables(self) -> frozenset[str]:
        """Return the data sources and pipes."""
        return frozenset(self._project.data_sources.keys() | self._project.pipes.keys())
