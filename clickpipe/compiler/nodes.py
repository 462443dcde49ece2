"""A single node of a pipe: its parameters, and its SQL over the data sources' own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clickpipe.compiler.compose import Composer
from clickpipe.compiler.graph import build_graph, sample_secret
from clickpipe.compiler.model import CompiledProject
from clickpipe.compiler.views import parameters
from clickpipe.project import Node, Pipe
from clickpipe.template import Binder, BoundSQL, Parameter


def node_parameters(compiled: CompiledProject, pipe: Pipe, node: Node) -> list[Parameter]:
    """Return the parameters of a node and of everything it reads."""
    return list(parameters(build_graph(compiled.project, compiled.reader)[0], pipe, node))


def bind_node(compiled: CompiledProject, pipe: Pipe, node: Node, values: Mapping[str, Any]) -> BoundSQL:
    """Return the SQL of a node with what it reads, and its parameters; secrets are replaced by a sample.

    Raises what its template raises.
    """
    binder = Binder(compiled.known_names.of(pipe), sample_secret)
    text = Composer(compiled.project, compiled.reader, None).node(pipe, node, values, binder).text
    return BoundSQL(text, binder.params, binder.settings)
