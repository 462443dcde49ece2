"""Cases as text files: text in, text out.

A file holds cases one after another:

    case: what it shows
    --- name of a section
    its text
    --- name of the next
    its text

The runner of a folder gives the sections their meaning. Lines before the first case are a comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_CASE = "case: "
_SECTION = "--- "


@dataclass
class Case:
    """One case: its title and its sections, in order."""

    title: str
    sections: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.sections[name]

    def get(self, name: str, default: str = "") -> str:
        return self.sections.get(name, default)

    @property
    def files(self) -> dict[str, str]:
        """The sections that are datafiles or settings."""
        return {
            name: text
            for name, text in self.sections.items()
            if name.endswith((".datasource", ".pipe", ".connection", ".incl", "clickpipe.toml"))
        }


def read_cases(path: Path) -> Iterator[Case]:
    case: Case | None = None
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith(_CASE):
            case, section = Case(line.removeprefix(_CASE).strip()), ""
            yield case
        elif case is not None and line.startswith(_SECTION):
            section = line.removeprefix(_SECTION).strip()
            assert section not in case.sections, f"{path}: the section {section!r} of {case.title!r} is there twice"
            case.sections[section] = ""
        elif case is not None and section:
            case.sections[section] += line
        elif case is not None:
            assert not line.strip(), f"{path}: text outside a section in {case.title!r}"


def case_parameters(folder: Path) -> list[object]:
    """Return pytest parameters for every case of every `.txt` file in a folder."""
    found = [
        pytest.param(case, id=f"{path.stem}: {case.title}")
        for path in sorted(folder.glob("*.txt"))
        for case in list(read_cases(path))
    ]
    assert found, f"no cases in {folder}"
    return [*found]
