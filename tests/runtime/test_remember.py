"""ClickHouse is asked only what it was not asked before, and says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.compiler import CompiledProject
from clickpipe.runtime import check_folder, opening
from tests.conftest import RunPython

FILES = {
    "events.datasource": "SCHEMA >\n    id String,\n    n Int32\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n",
    "other.datasource": "SCHEMA >\n    id String\n\nENGINE MergeTree\nENGINE_SORTING_KEY id\n",
    "top.pipe": (
        "NODE inner\nSQL >\n    SELECT id, n FROM events\n\n"
        "NODE out\nSQL >\n    %\n    SELECT id, n FROM inner WHERE n > {{Int32(least, 1)}}\n\nTYPE endpoint\n"
    ),
    "all.pipe": "NODE out\nSQL >\n    SELECT * FROM other\n\nTYPE endpoint\n",
}

_CODE = """
    import sys
    from clickpipe.runtime import check_folder, opening
    started = []
    engine = opening.EmbeddedEngine
    opening.EmbeddedEngine = lambda **how: started.append(1) or engine(**how)
    compiled = check_folder(sys.argv[1], remember=True)
    print(len(started), [(d.code, d.message) for d in compiled.diagnostics])
    print({n: [(c.name, c.type) for c in e.columns] for n, e in compiled.endpoints.items()})
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text)


def check(run_python: RunPython, root: Path) -> tuple[int, str]:
    said = run_python(_CODE, root).stdout
    return int(said[0]), said[2:]


@pytest.mark.slow
def test_what_was_asked_before_needs_no_engine(tmp_path: Path, run_python: RunPython) -> None:
    write(tmp_path, FILES)
    first = check(run_python, tmp_path)
    assert first[0] == 1
    assert "('n', 'Int32')" in first[1]
    assert check(run_python, tmp_path) == (0, first[1])


@pytest.mark.slow
def test_a_change_of_a_table_is_seen_where_it_is_read(tmp_path: Path, run_python: RunPython) -> None:
    write(tmp_path, FILES)
    check(run_python, tmp_path)
    write(tmp_path, {"events.datasource": FILES["events.datasource"].replace("n Int32", "n UInt8")})
    started, said = check(run_python, tmp_path)
    assert started == 1
    assert "('n', 'UInt8')" in said
    write(tmp_path, {"events.datasource": FILES["events.datasource"].replace("n Int32", "m Int32")})
    started, said = check(run_python, tmp_path)
    assert "CP4002" in said
    assert check(run_python, tmp_path) == (1, said)  # a refusal is asked again
    write(tmp_path, FILES)
    assert check(run_python, tmp_path)[0] == 0


@pytest.mark.slow
def test_a_broken_memory_is_none(tmp_path: Path, run_python: RunPython) -> None:
    write(tmp_path, FILES)
    first = check(run_python, tmp_path)
    path = tmp_path / ".clickpipe" / "cache" / "answers.json"
    for data in (b"", b"x\n{}", path.read_bytes()[:-9]):
        path.write_bytes(data)
        assert check(run_python, tmp_path) == first
    assert check(run_python, tmp_path) == (0, first[1])


def test_nothing_is_kept_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(project: object, _checker: object) -> CompiledProject:
        return CompiledProject(project, {}, {}, {}, {}, ())  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "compile_project", compiled)
    write(tmp_path, FILES)
    check_folder(tmp_path)
    assert not (tmp_path / ".clickpipe").exists()
