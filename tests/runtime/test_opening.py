from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import pytest

import clickpipe
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime.folder import open_folder
from tests.conftest import RunPython, python_environment

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
TOP = """\
NODE n
SQL >
    %
    SELECT id, n FROM events WHERE n >= {{Int32(least, 0)}} ORDER BY n LIMIT {{Int32(limit, 10)}}
TYPE endpoint
"""
HOLD = """
    import sys
    import clickpipe

    with clickpipe.open(sys.argv[1], data_dir=sys.argv[2]):
        print("open", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.datasource").write_text(EVENTS)
    (tmp_path / "top.pipe").write_text(TOP)
    return tmp_path


def test_load_compiles_a_folder_and_leaves_nothing_in_it(run_python: RunPython, folder: Path) -> None:
    code = """
        import sys
        import clickpipe

        compiled = clickpipe.load(sys.argv[1])
        bound = compiled.endpoints["top"].bind(limit=5)
        assert "LIMIT {" in bound.text, bound.text
        assert 5 in bound.params.values(), bound.params
        assert list(compiled.data_sources) == ["events"]
    """
    run_python(code, folder)
    assert sorted(p.name for p in folder.iterdir()) == ["events.datasource", "top.pipe"]


def test_a_folder_with_a_mistake_is_refused_with_its_place(run_python: RunPython, folder: Path) -> None:
    (folder / "top.pipe").write_text(TOP.replace("FROM events", "FROM event"))
    done = run_python("import sys, clickpipe\nclickpipe.load(sys.argv[1])", folder, check=False)
    assert done.returncode == 1
    assert "ProjectError" in done.stderr
    assert "top.pipe:4:23: 'event' is not a data source" in done.stderr


def test_open_deploys_the_folder_and_keeps_its_rows(run_python: RunPython, folder: Path) -> None:
    code = """
        import sys
        import clickpipe

        with clickpipe.open(sys.argv[1]) as workspace:
            workspace.ingest("events", [{"id": sys.argv[2], "n": 1}])
            print(*(row["id"] for row in workspace.query("top", limit=5)))
    """
    assert run_python(code, folder, "a").stdout == "a\n"
    assert (folder / ".clickpipe").is_dir()
    (folder / "events.datasource").write_text(EVENTS.replace("Int32", "Int64"))  # deployed when opened again
    assert sorted(run_python(code, folder, "b").stdout.split()) == ["a", "b"]


def test_a_second_process_on_the_same_folder_is_refused(run_python: RunPython, folder: Path) -> None:
    data = folder / "elsewhere"
    command = [sys.executable, "-c", textwrap.dedent(HOLD), str(folder), str(data)]
    with subprocess.Popen(
        command, env=python_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        done = run_python(HOLD, folder, data, check=False)
        holder.communicate("")
    assert done.returncode == 1
    assert f"is in use by another clickpipe (process {holder.pid})" in done.stderr
    assert "--data-dir" in done.stderr
    assert holder.returncode == 0
    assert (data / "catalog.sqlite").is_file()


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError, match="module 'clickpipe' has no attribute 'close'"):
        _ = clickpipe.close


def test_a_start_that_fails_lets_go_of_folder_and_engine(run_python: RunPython, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from clickpipe.catalog import Catalog
        from clickpipe.runtime import Instance, compose as module

        folder = Path(sys.argv[1])
        Instance(folder).close()
        for name in ("TokenIndex", "Workspaces", "Ingester", "StorageLog", "CopySchedule"):
            own = getattr(module, name)

            def fail(*given, **named):
                raise ValueError(name)

            setattr(module, name, fail)
            try:
                Instance(folder)
            except ValueError as error:
                assert str(error) == name
            else:
                raise AssertionError(name)
            setattr(module, name, own)
            Instance(folder).close()  # the same process may open it again
    """
    run_python(code, tmp_path)


def test_a_data_folder_that_cannot_be_made_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "data"):
        with ExitStack() as opened, pytest.raises(ClickpipeError, match=r"cannot be used: .* with --data-dir"):
            open_folder(folder, opened)


@pytest.mark.parametrize("name", ["wal", "uploads", "made-by", "catalog.generation", "engine/config", "engine/spool"])
def test_a_file_of_the_data_folder_that_is_of_another_kind_is_told_plainly(
    run_python: RunPython, tmp_path: Path, name: str
) -> None:
    """A folder instead of a file or the other way round stands for all that the system may refuse at a start."""
    code = """
        import sys
        from pathlib import Path
        from clickpipe.diagnostics import ClickpipeError
        from clickpipe.runtime import Instance

        folder, path = Path(sys.argv[1]), Path(sys.argv[1], sys.argv[2])
        Instance(folder).close()
        aside = folder / "aside"
        path.rename(aside)
        path.mkdir() if aside.is_file() else path.write_text("")
        try:
            Instance(folder)
        except ClickpipeError as error:
            assert error.code == "folder_unusable", error.code
            assert "cannot be used" in error.message and str(path) in error.message, error.message
        else:
            raise AssertionError("it started")
        path.rmdir() if path.is_dir() else path.unlink()
        aside.rename(path)
        Instance(folder).close()
    """
    run_python(code, tmp_path / "data", name)
