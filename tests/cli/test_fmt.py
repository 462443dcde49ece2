from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MESSY = "node n\nSQL >\n  select   1 as one\ntype endpoint\n"
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


def test_check_and_diff_change_nothing(run: Run, folder: Path) -> None:
    checked = run("fmt", "--check", folder)
    assert (checked.code, "would format" in checked.out) == (1, True)
    diff = run("fmt", "--diff", folder / "messy.pipe")
    assert diff.code == 0
    assert "-node n\n+NODE n\n" in diff.out
    assert json.loads(run("fmt", "--check", "--json", folder).out) == {
        "changed": [str(folder / "messy.pipe")],
        "files": 2,
    }
    assert (folder / "messy.pipe").read_text() == MESSY


def test_files_with_errors_are_shown_and_left_alone(run: Run, folder: Path) -> None:
    (folder / "broken.pipe").write_text("NOD n\n")
    result = run("fmt", folder)
    assert result.code == 1
    assert f"{folder / 'broken.pipe'}:1:1: error[CP1001]" in result.err
    assert (folder / "broken.pipe").read_text() == "NOD n\n"
    assert (folder / "messy.pipe").read_text() == TIDY


def test_sql_is_formatted_by_clickhouse_when_asked(run: Run, folder: Path) -> None:
    assert run("fmt", "--sql", folder).code == 0
    assert (folder / "messy.pipe").read_text() == "NODE n\nSQL >\n    SELECT 1 AS one\n\nTYPE endpoint\n"
