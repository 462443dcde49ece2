"""The projects that adversarial ones are made of: the example, those of other tests, and some of their own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.cases import read_cases
from tests.conftest import ROOT

_CASES = (Path(__file__).parent / "seeds", ROOT / "tests/compiler/must_compile")
_FOLDERS = (ROOT, ROOT / "interop/project")
_ENDINGS = {".datasource", ".pipe", ".connection", ".incl"}


@cache
def seeds() -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Return each seed's name and files. Settings are left out: those of the server count."""
    found = [(folder.name, _files(folder)) for folder in _FOLDERS]
    for folder in _CASES:
        for path in sorted(folder.glob("*.txt")):
            for case in list(read_cases(path)):  # a case is whole when the next one begins
                files = {name: text for name, text in case.files.items() if Path(name).suffix in _ENDINGS}
                found += [(f"{path.stem}: {case.title}", files)] if files else []
    return tuple(found)


def _files(folder: Path) -> dict[str, str]:
    """Return the datafiles of the folders that a project's folder has for them."""
    names = ("datasources", "pipes", "endpoints", "materializations", "copies", "connections")
    paths = [path for name in names for path in sorted((folder / name).rglob("*")) if path.suffix in _ENDINGS]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
