"""Projects that are written reach all of the language, and are the same each time."""

from __future__ import annotations

from collections import defaultdict

import pytest

from clickpipe.datafile import Kind
from clickpipe.datafile.directives import DIRECTIVES
from tests.security.datafile_places import KINDS, places
from tests.security.datafile_writer import Outside, ProjectWriter
from tests.security.seed_projects import seeds

OUTSIDE = Outside(("/etc/passwd",), 1, "/out", "ws_0123456789abcdef")


@pytest.mark.slow
def test_every_directive_is_changed_or_added() -> None:
    changed: dict[str, set[str]] = defaultdict(set)
    for number in range(20_000):
        writer = ProjectWriter(number, OUTSIDE)
        for name, text in writer.files().items():
            before = writer.good.get(name, "").splitlines()
            words = (line.split() for line in text.splitlines() if line[:1].isalpha() and line not in before)
            changed[name.rpartition(".")[2]] |= {line[0].upper() for line in words}
    for kind, ending in ((Kind.DATASOURCE, "datasource"), (Kind.PIPE, "pipe"), (Kind.CONNECTION, "connection")):
        assert {directive.name for directive in DIRECTIVES[kind].values()} - changed[ending] == set(), ending


def test_each_kind_of_place_is_in_a_seed() -> None:
    texts = [(name.rpartition(".")[2], text) for _, files in seeds() for name, text in files.items()]
    for ending, kinds in KINDS.items():
        for kind in kinds:
            assert any(list(places(kind, text)) for own, text in texts if own == ending) or ending != "pipe", kind.at
            assert any(list(places(kind, text)) for _, text in texts), kind.at


def test_a_number_is_one_project() -> None:
    for number in range(0, 1000, 37):
        assert ProjectWriter(number, OUTSIDE).files() == ProjectWriter(number, OUTSIDE).files()
