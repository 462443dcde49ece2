from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MESSY = "node n\nSQL >\n  select   1 as one\ntype endpoint"
TIDY = "NODE n\nSQL >\n    select   1 as one\n\nTYPE endpoint\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "messy.pipe").write_text(MESSY)
    (tmp_path / "tidy.pipe").write_text(TIDY)
    (tmp_path / "notes.md").write_text("node n\n")
    return tmp_path


def test_files_are_formatted_in_place(run: Run, folder: Path) -> None:
    result = run("fmt", folder)
    assert (result.code, result.out) == (0, f"formatted {folder / 'messy.pipe'}\n2 files: 1 formatted\n")
    assert (folder / "messy.pipe").read_text() == TIDY
    assert run("fmt", folder).out == "2 files: 0 formatted\n"


def test_the_folder_here_is_formatted_by_default(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run("fmt").out == "formatted messy.pipe\n2 files: 1 formatted\n"


def test_check_and_diff_change_nothing(run: Run, folder: Path) -> None:
    checked = run("fmt", "--check", folder)
    assert (checked.code, "would format" in checked.out) == (1, True)
    assert run("fmt", "--check", folder / "tidy.pipe").code == 0
    diff = run("fmt", "--diff", folder / "messy.pipe")
    assert diff.code == 0
    assert "-node n\n+NODE n\n" in diff.out
    assert run("fmt", "--diff", "--check", folder).code == 1
    assert run("fmt", "--diff", folder / "tidy.pipe").out == ""
    assert (folder / "messy.pipe").read_text() == MESSY


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
def test_a_diff_can_be_applied(run: Run, folder: Path) -> None:
    diff = run("fmt", "--diff", folder).out
    patch = shutil.which("patch") or "patch"
    subprocess.run([patch, str(folder / "messy.pipe")], input=diff, text=True, check=True, capture_output=True)
    assert (folder / "messy.pipe").read_text() == TIDY


def test_json_tells_the_files(run: Run, folder: Path) -> None:
    messy, broken = str(folder / "messy.pipe"), str(folder / "broken.pipe")
    assert json.loads(run("fmt", "--check", "--json", folder).out) == {"changed": [messy], "failed": [], "files": 2}
    (folder / "broken.pipe").write_text("NOD n\n")
    shown = json.loads(run("fmt", "--diff", "--json", folder).out)
    assert (shown["changed"], shown["failed"], list(shown["diffs"])) == ([messy], [broken], [messy])


def test_a_file_that_is_named_twice_is_formatted_once(run: Run, folder: Path) -> None:
    assert run("fmt", "--check", folder, folder / "messy.pipe").out.endswith("2 files: 1 to format\n")


def test_files_with_errors_are_shown_and_left_alone(run: Run, folder: Path) -> None:
    (folder / "broken.pipe").write_text("NOD n\n")
    (folder / "wrong.datasource").write_text("schema >\n  a String b,\n")
    result = run("fmt", folder)
    assert result.code == 1
    assert f"{folder / 'broken.pipe'}:1:1: error[CP1001]" in result.err
    assert f"{folder / 'wrong.datasource'}:2:12: error[CP1101]" in result.err
    assert (folder / "broken.pipe").read_text() == "NOD n\n"
    assert (folder / "wrong.datasource").read_text() == "schema >\n  a String b,\n"
    assert (folder / "messy.pipe").read_text() == TIDY


def test_a_file_that_cannot_be_written_is_no_bug(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    result = run("fmt", folder)
    assert (result.code, result.err) == (1, f"error: {folder / 'messy.pipe'} cannot be written: Permission denied\n")


def test_a_read_only_file_is_left_alone_for_root_too(run: Run, folder: Path) -> None:
    (folder / "messy.pipe").chmod(0o444)
    result = run("fmt", folder)
    assert (result.code, result.err) == (1, f"error: {folder / 'messy.pipe'} cannot be written: it is read-only\n")
    assert (folder / "messy.pipe").read_text() == MESSY


def test_sql_is_formatted_by_clickhouse_when_asked(run: Run, folder: Path) -> None:
    assert run("fmt", "--sql", folder).code == 0
    assert (folder / "messy.pipe").read_text() == "NODE n\nSQL >\n    SELECT 1 AS one\n\nTYPE endpoint\n"


@pytest.mark.parametrize("sql", ["select  1 // one", "select  1 # one", "select ((\n      1", "select  {{x}}"])
def test_sql_that_clickhouse_cannot_format_whole_stays(run: Run, tmp_path: Path, sql: str) -> None:
    text = f"NODE n\nSQL >\n    {sql}\n"
    (tmp_path / "n.pipe").write_text(text)
    assert run("fmt", "--sql", tmp_path).code == 0
    assert (tmp_path / "n.pipe").read_text() == text
