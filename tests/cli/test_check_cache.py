"""`clickpipe check` tells a result again, and imports none of the compiler for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clickpipe.config import ProjectRules
from clickpipe.folder.records import RecordStore
from tests.cli.conftest import Run
from tests.conftest import RunPython

GOOD = "NODE endpoint\nSQL >\n    SELECT 1 AS one\n\nTYPE endpoint\n"
BAD = "NODE endpoint\nSQL >\n    SELECT nope FROM missing\n\nTYPE endpoint\n"


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were checked, not told of."""
    from clickpipe.checking import changes

    found: list[Path] = []
    check = changes.check_changes

    def counted(folder: Path, files: dict[str, bytes | OSError], rules: ProjectRules) -> object:
        found.append(folder)
        return check(folder, files, rules)

    monkeypatch.setattr("clickpipe.checking.changes.check_changes", counted)
    return found


def test_an_unchanged_folder_is_checked_once(run: Run, tmp_path: Path, checked: list[Path]) -> None:
    (tmp_path / "p.pipe").write_text(GOOD)
    first, second = run("check", tmp_path), run("check", tmp_path)
    assert len(checked) == 1
    assert (first.code, first.out) == (second.code, second.out) == (0, "0 data sources, 1 pipe: no errors\n")


@pytest.mark.parametrize("form", ["text", "json", "github", "junit"])
def test_mistakes_are_told_again_the_same(run: Run, tmp_path: Path, checked: list[Path], form: str) -> None:
    (tmp_path / "p.pipe").write_text(BAD)
    (tmp_path / "q.pipe").write_text(GOOD)
    first, second = run("check", tmp_path, "--format", form), run("check", tmp_path, "--format", form)
    assert len(checked) == 1
    assert (first.code, first.out) == (second.code, second.out)
    assert (
        first.err.split("\n", 1)[-1] == second.err or first.err.removeprefix("checking the project …\n") == second.err
    )
    assert first.code == 1


def test_a_change_is_seen(run: Run, tmp_path: Path, checked: list[Path]) -> None:
    (tmp_path / "p.pipe").write_text(GOOD)
    assert run("check", tmp_path).code == 0
    (tmp_path / "p.pipe").write_text(BAD)
    assert run("check", tmp_path).code == 1
    (tmp_path / "p.pipe").write_text(GOOD)
    assert run("check", tmp_path).code == 0
    assert len(checked) == 2  # the first state was known


def test_no_cache_neither_reads_nor_writes(run: Run, tmp_path: Path, checked: list[Path]) -> None:
    (tmp_path / "p.pipe").write_text(GOOD)
    run("check", "--no-cache", tmp_path)
    assert not (tmp_path / ".clickpipe").exists()
    assert checked == []
    (tmp_path / "q.pipe").write_text(GOOD)
    said = [run("check", *how, tmp_path).out for how in ((), ("--no-cache",), ())]
    assert said == ["0 data sources, 2 pipes: no errors\n"] * 3
    assert len(checked) == 1


def test_a_broken_entry_is_found_out_again(run: Run, tmp_path: Path, checked: list[Path]) -> None:
    (tmp_path / "p.pipe").write_text(GOOD)
    run("check", tmp_path)
    for path in (tmp_path / ".clickpipe" / "cache").glob("check-*"):
        path.write_text("{")
    assert run("check", tmp_path).code == 0
    assert len(checked) == 2


def test_an_empty_folder_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    assert run("check", tmp_path).code == 1
    assert not (tmp_path / ".clickpipe").exists()


def test_a_hit_imports_no_compiler(tmp_path: Path, run: Run, run_python: RunPython) -> None:
    (tmp_path / "p.pipe").write_text(GOOD)
    run("check", tmp_path)
    code = """
        import sys
        from clickpipe.cli.app import cli
        try:
            cli.main(["check", sys.argv[1]])
        finally:
            print([m for m in ("chdb", "jinja2", "lark", "msgspec") if m in sys.modules])
    """
    done = run_python(code, tmp_path)
    assert re.search(r"1 pipe: no errors\n\[\]", done.stdout)


def test_a_broken_branch_stops_a_check_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    text = "NODE n\nSQL >\n    %\n    SELECT {% if defined(a) %} nope {% else %} 1 {% end %} AS x\n\nTYPE endpoint\n"
    (tmp_path / "p.pipe").write_text(text)
    for how in ((), ("--no-cache",)):
        found = run("check", *how, tmp_path)
        assert (found.code, "warning[CP4002]" in found.err + found.out) == (0, True)
        found = run("check", "--strict", *how, tmp_path)
        assert (found.code, "error[CP4002]" in found.err + found.out) == (1, True)
    (tmp_path / "clickpipe.toml").write_text('broken_branches = "error"\n')
    for how in ((), ("--no-cache",)):
        assert run("check", *how, tmp_path).code == 1
    (tmp_path / "clickpipe.toml").write_text('broken_branches = "no"\n')
    assert "broken_branches must be error or warning, not 'no'" in run("check", tmp_path).err


def test_a_cache_that_came_with_the_project_is_not_believed(
    run: Run, tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "p.pipe").write_text(BAD)
    with monkeypatch.context() as somebody:
        somebody.setenv("XDG_CONFIG_HOME", str(tmp_path / "somebody"))
        assert [run("check", tmp_path / "project").code for _ in range(2)] == [1, 1]
        assert RecordStore(tmp_path / "project").load() is not None
    assert len(checked) == 1
    assert RecordStore(tmp_path / "project").load() is None
    assert [run("check", tmp_path / "project").code for _ in range(2)] == [1, 1]
    assert len(checked) == 2


def test_without_a_place_for_its_key_there_is_no_cache(
    run: Run, tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.pipe").write_text(BAD)
    (tmp_path / "config").write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert [run("check", tmp_path).code for _ in range(2)] == [1, 1]
    assert len(checked) == 2
    assert not (tmp_path / ".clickpipe").exists()
