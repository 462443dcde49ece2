"""What was found out about a folder is told again only while nothing has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clickpipe.diagnostics import Diagnostic, Related, Severity, Sources, Span
from clickpipe.folder import CheckCache, CheckResult, folder_state, read_datafiles
from tests.conftest import RunPython

RESULT = CheckResult(
    (
        Diagnostic(
            "CP2003", "täxt", Span("a.pipe", 1, 3), Severity.ERROR, "a hint", (Related("r", Span("b.pipe", 0, 1)),)
        ),
        Diagnostic("CP2008", "w", Span("a.pipe", 4, 5), Severity.WARNING),
    ),
    Sources({"a.pipe": "SELECT ü", "b.pipe": "x", "c.pipe": "not shown"}),
    3,
    7,
)


def entries(root: Path) -> list[Path]:
    return sorted((root / ".clickpipe" / "cache").glob("check-*.json"))


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    CheckCache(tmp_path).store("s", RESULT)
    found = CheckCache(tmp_path).load("s")
    assert found is not None
    assert found.diagnostics == RESULT.diagnostics
    assert (found.data_sources, found.pipes) == (3, 7)
    assert found.sources.texts == {"a.pipe": "SELECT ü", "b.pipe": "x", "c.pipe": ""}  # the texts that are shown


def test_another_state_is_a_miss(tmp_path: Path) -> None:
    CheckCache(tmp_path).store("s", RESULT)
    assert CheckCache(tmp_path).load("t") is None
    assert CheckCache(tmp_path / "elsewhere").load("s") is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'{"diagnostics": [{}]}'])
@pytest.mark.parametrize("name", ["index.json", "check-s.json"])
def test_a_broken_file_is_a_miss_and_is_replaced(tmp_path: Path, name: str, data: bytes) -> None:
    CheckCache(tmp_path).store("s", RESULT)
    (tmp_path / ".clickpipe" / "cache" / name).write_bytes(data)
    assert CheckCache(tmp_path).load("s") is None
    CheckCache(tmp_path).store("s", RESULT)
    assert CheckCache(tmp_path).load("s") is not None


def test_a_missing_payload_is_a_miss(tmp_path: Path) -> None:
    CheckCache(tmp_path).store("s", RESULT)
    entries(tmp_path)[0].unlink()
    assert CheckCache(tmp_path).load("s") is None


def test_an_index_of_another_form_is_no_index(tmp_path: Path) -> None:
    CheckCache(tmp_path).store("s", RESULT)
    index = tmp_path / ".clickpipe" / "cache" / "index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "form": 99}))
    assert CheckCache(tmp_path).load("s") is None


def test_the_oldest_are_let_go(tmp_path: Path) -> None:
    for number in range(40):
        CheckCache(tmp_path).store(f"s{number}", RESULT)
    assert len(entries(tmp_path)) == 16
    assert CheckCache(tmp_path).load("s39") is not None
    assert CheckCache(tmp_path).load("s23") is None


def test_a_folder_that_cannot_be_written_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / ".clickpipe").write_text("a file")
    CheckCache(tmp_path).store("s", RESULT)
    assert CheckCache(tmp_path).load("s") is None


def test_many_at_once_leave_a_cache_that_can_be_read(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            CheckCache(tmp_path).store(f"s{number}-{turn}", RESULT)
            CheckCache(tmp_path).load(f"s{number}-{turn}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    CheckCache(tmp_path).store("last", RESULT)
    assert CheckCache(tmp_path).load("last") is not None
    assert not list((tmp_path / ".clickpipe" / "cache").glob("new-*"))


def test_two_processes_share_it(tmp_path: Path, run_python: RunPython) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.diagnostics import Sources
        from clickpipe.folder import CheckCache, CheckResult
        CheckCache(Path(sys.argv[1])).store(sys.argv[2], CheckResult((), Sources({}), 1, 2))
    """
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda state: run_python(code, tmp_path, state), ["one", "two"]))
    run_python(code, tmp_path, "three")
    assert CheckCache(tmp_path).load("three") is not None


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


CHANGES: list[Callable[[Path], object]] = [
    lambda root: write(root, "a.pipe", "NODE n\nSQL >\n    SELECT 2\n"),
    lambda root: write(root, "b.pipe", ""),
    lambda root: write(root, "deep/er/x.datasource", ""),
    lambda root: write(root, "x.incl", ""),
    lambda root: (root / "a.pipe").rename(root / "c.pipe"),
    lambda root: (root / "a.pipe").unlink(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_files_is_another_state(tmp_path: Path, change: Callable[[Path], object]) -> None:
    write(tmp_path, "a.pipe", "NODE n\nSQL >\n    SELECT 1\n")
    before = folder_state(read_datafiles(tmp_path))
    assert folder_state(read_datafiles(tmp_path)) == before
    change(tmp_path)
    assert folder_state(read_datafiles(tmp_path)) != before


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path, "a.pipe", "")
    before = folder_state(read_datafiles(tmp_path))
    write(tmp_path, "README.md", "x")
    write(tmp_path, ".hidden/b.pipe", "x")
    write(tmp_path, "node_modules/b.pipe", "x")
    assert folder_state(read_datafiles(tmp_path)) == before


def test_variables_that_files_name_are_part_of_the_state(tmp_path: Path) -> None:
    write(tmp_path, "a.datasource", "TOKEN ${WHO} READ\n")
    states = {folder_state(read_datafiles(tmp_path), env) for env in ({}, {"WHO": ""}, {"WHO": "me"}, {"WHO": "you"})}
    assert len(states) == 4
    assert folder_state(read_datafiles(tmp_path), {"OTHER": "1"}) == folder_state(read_datafiles(tmp_path), {})
