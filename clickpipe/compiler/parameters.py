"""Properties of a pipe together with the pipes that it reads: its parameters, and the cost of rendering it."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.compiler.model import CompiledProject
from clickpipe.project import Pipe


def parameters_read(compiled: CompiledProject, pipe: str) -> frozenset[str]:
    """Return the names of the parameters of a pipe and of all that it reads; empty for an unknown pipe."""
    programs = (node.program for read in _read(compiled, pipe) for node in read.nodes)
    return frozenset(parameter.name for program in programs for parameter in program.parameters)


def is_quick(compiled: CompiledProject, pipe: str) -> bool:
    """Return whether rendering a pipe and all that it reads takes time linear in text and values."""
    return all(node.program.is_quick for read in _read(compiled, pipe) for node in read.nodes)


def _read(compiled: CompiledProject, pipe: str) -> Iterator[Pipe]:
    """Yield a pipe and the pipes that it reads."""
    seen: set[str] = set()
    waiting = [pipe]
    while waiting:
        name = compiled.project.canonical(waiting.pop())
        read = compiled.project.pipes.get(name)
        if read is None or name in seen:
            continue
        seen.add(name)
        yield read
        waiting += compiled.names[read.file].reads if read.file in compiled.names else ()
