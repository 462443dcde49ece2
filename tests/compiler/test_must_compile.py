"""Projects that compile, and what they compile to.

A case in `must_compile/*.txt` has the project's files, then `--- expect` with a line for each
endpoint, view, copy, derived data source and connection (and each warning).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.compiler import CompiledProject
from clickpipe.template import Parameter
from tests.cases import Case, case_parameters
from tests.compiler.test_must_fail import found
from tests.conftest import Compile


def shown(parameter: Parameter) -> str:
    return f"{parameter.name} {parameter.type}" + ("" if parameter.required else f" = {parameter.default}")


def summary(compiled: CompiledProject) -> Iterator[str]:
    for place, message in found(compiled):
        yield f"{place} {message}"
    for name, endpoint in compiled.endpoints.items():
        parameters = ", ".join(shown(p) for p in endpoint.parameters)
        columns = ", ".join(f"{c.name} {c.type}" for c in endpoint.columns)
        yield f"endpoint {name}({parameters}): {columns}".rstrip()
    for name, view in compiled.views.items():
        yield f"view {name}: {view.source} -> {view.target}"
    for name, copy in compiled.copies.items():
        yield f"copy {name}: {copy.mode} {copy.target} ({copy.schedule or 'on demand'})"
    for name, source in compiled.data_sources.items():
        if source.derived:
            yield f"derived {name}: " + ", ".join(f"{c.name} {c.type}" for c in source.columns)
    for name, connection in compiled.project.connections.items():
        secrets = ", ".join(s.name for s in connection.secrets)
        yield f"connection {name}: {connection.type} ({secrets})"


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "must_compile"))
def test_it_compiles_to(case: Case, compile_files: Compile) -> None:
    assert list(summary(compile_files(case.files))) == case["expect"].strip().splitlines()
