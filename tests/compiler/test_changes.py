"""A project of which only the changes are compiled: the same as if all of it were."""

from __future__ import annotations

import random

import pytest

from clickpipe.compiler import Checker, CompiledProject, compile_changes, compile_project
from clickpipe.deploy.planning.physical import layout
from clickpipe.diagnostics import has_errors
from clickpipe.engine import EmbeddedEngine, scratch
from clickpipe.project import Project, load_files, load_texts, read_texts
from tests.checking.test_changes import FILES, edit, plain


def described(compiled: CompiledProject) -> list[object]:
    """Return what a deployment makes of a compiled project."""
    learned = {name: [(c.name, c.type) for c in columns] for name, columns in compiled.learned().items()}
    parameters = {name: [p.name for p in found.parameters] for name, found in compiled.endpoints.items()}
    return [learned, parameters, layout(compiled, "db").physical(), sorted(compiled.copies), dict(compiled.names)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_changes_give_what_the_whole_gives(engine: EmbeddedEngine, seed: int) -> None:
    rng = random.Random(seed)
    texts: dict[str, str] = {}
    known: CompiledProject | None = None
    compared = 0
    for _ in range(120):
        before = dict(texts)
        edit(texts, rng)
        if not texts:
            continue
        with scratch(engine) as checker:
            whole = compile_project(load_texts(texts), checker)
        if known is not None:
            with scratch(engine) as checker:
                found = compile_changes(load_texts(texts), known, checker)
            assert has_errors(found.diagnostics) == has_errors(whole.diagnostics), texts
            if not has_errors(whole.diagnostics):
                assert [plain(d) for d in found.diagnostics] == [plain(d) for d in whole.diagnostics]
                assert described(found) == described(whole), texts
                compared += 1
                known = found
        if has_errors(whole.diagnostics):
            texts = before
        elif known is None:
            known = whole
    assert compared > 3


def test_what_did_not_change_is_not_asked_of_clickhouse(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {file: text for file, text in FILES.items() if file != "bad.pipe"}
    with scratch(engine) as checker:
        known = compile_project(load_texts(texts), checker)
    compiled: list[set[str]] = []

    def count(project: Project, checker: Checker, *more: object) -> CompiledProject:
        compiled.append(set(project.files))
        return compile_project(project, checker, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("clickpipe.compiler.changes.compile_project", count)
    changed = {**texts, "top.pipe": texts["top.pipe"].replace("1", "2")}
    with scratch(engine) as checker:
        again = compile_changes(load_texts(texts), known, checker)
        assert compiled == []
        assert described(again) == described(known)
        compile_changes(load_texts(changed), known, checker)
    assert compiled == [{"top.pipe", "inner.pipe", "events.datasource", "end.incl"}]


def test_a_file_that_cannot_be_read_is_told_of(engine: EmbeddedEngine) -> None:
    texts = {file: text for file, text in FILES.items() if file != "bad.pipe"}
    with scratch(engine) as checker:
        known = compile_project(load_texts(texts), checker)
    told, unreadable = read_texts({**{f: t.encode() for f, t in texts.items()}, "odd.pipe": OSError(13, "no")})
    with scratch(engine) as checker:
        found = compile_changes(load_files(told, unreadable), known, checker)
    assert [d.code for d in found.diagnostics if d.span.file == "odd.pipe"] == ["CP2005"]
