"""Which parameters decide about what a pipe answers: its own, and those of the pipes that it reads."""

from __future__ import annotations

from clickpipe.compiler.model import CompiledProject


def parameters_read(compiled: CompiledProject, pipe: str) -> frozenset[str]:
    """Return the names of the parameters of a pipe and of all that it reads; none for a pipe that there is not."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [pipe]
    while waiting:
        name = compiled.project.canonical(waiting.pop())
        read = compiled.project.pipes.get(name)
        if read is None or name in seen:
            continue
        seen.add(name)
        found |= {parameter.name for node in read.nodes for parameter in node.program.parameters}
        waiting += compiled.names[read.file].reads if read.file in compiled.names else ()
    return frozenset(found)
