"""Projects that must not compile: each case names file, line, column and code of everything wrong in it.

A case in `must_fail/*.txt` has the project's files as sections, then `--- expect` with one line for
each diagnostic, `file:line:column CODE`, optionally with the message after it; all of them, in order.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.compiler import CompiledProject
from tests.cases import Case, case_parameters
from tests.conftest import Compile


def found(compiled: CompiledProject) -> list[tuple[str, str]]:
    sources = compiled.project.sources
    lines = []
    for diagnostic in compiled.diagnostics:
        at = sources.position(diagnostic.span)
        lines.append((f"{diagnostic.span.file}:{at.line}:{at.column} {diagnostic.code}", diagnostic.message))
    return lines


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "must_fail"))
def test_everything_wrong_is_reported_at_its_place(case: Case, compile_files: Compile) -> None:
    expected = case["expect"].strip().splitlines()
    assert expected, "a case has to expect something"
    lines = found(compile_files(case.files))
    if len(lines) == len(expected):
        lines_shown = [
            f"{place} {message}" if place != line else place
            for (place, message), line in zip(lines, expected, strict=True)
        ]
    else:
        lines_shown = [f"{place} {message}" for place, message in lines]
    assert lines_shown == expected
