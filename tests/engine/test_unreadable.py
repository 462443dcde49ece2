"""Definitions that ClickHouse cannot read: they are put aside, named, and everything else starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clickpipe.engine import lost_tables, unreadable
from tests.conftest import RunPython

FILES = {
    **{
        f"{name}.datasource": "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n"
        for name in ("events", "others", "copies")
    },
    "copied.pipe": "NODE n\nSQL >\n    SELECT id FROM events\nTYPE materialized\nDATASOURCE copies\n",
}
MADE = """
    import json, sys
    from pathlib import Path
    from clickpipe.runtime import Instance

    folder, files = Path(sys.argv[1]), json.loads(sys.argv[2])
    with Instance(folder) as instance:
        instance.default.deploy(files)
        for name in ("events", "others"):
            instance.default.ingest(name, [{"id": 1}])
"""
OPENED = """
    import json, logging, sys
    from pathlib import Path
    from clickpipe.diagnostics import ClickpipeError
    from clickpipe.runtime import Instance

    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    rows = {}
    try:
        with Instance(Path(sys.argv[1])) as instance:
            workspace = instance.default
            for name in json.loads(sys.argv[2]):
                workspace.ingest(name, [{"id": 2}])
            for name in ("events", "others", "copies"):
                try:
                    rows[name] = workspace.sql(f"SELECT count() AS n FROM {name}")[0]["n"]
                except ClickpipeError:
                    rows[name] = None
            print(json.dumps([rows, instance.problems()]))
    except ClickpipeError as error:
        print(json.dumps([error.code, error.message]))
"""
BINARY = "\x00\x07 \\x01"


def _definitions(folder: Path, pattern: str) -> list[Path]:
    """The definitions of the workspace's tables of which the names match."""
    databases = (folder / "engine" / "data" / "metadata").glob("ws_*")
    return [file for database in databases if database.is_dir() for file in database.glob(pattern)]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [BINARY, "", "UInt64", "folder"])
def test_a_table_is_put_aside_and_comes_back(run_python: RunPython, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    (file,) = [file for file in _definitions(folder, "events_*.sql") if "quarantine" not in file.name]
    good = file.read_text()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_text(good.replace(damage, "NoSuch") if damage and damage in good else damage or good[:60])
    done = run_python(OPENED, folder, json.dumps(["others"]))
    rows, problems = json.loads(done.stdout.splitlines()[-1])
    assert rows == {"events": None, "others": 2, "copies": 1}
    assert problems == ["1 tables or views were missing at the start: see the log"]
    kept = folder / "engine" / "damaged" / file.parent.name / file.name
    assert kept.exists()
    file.write_text(good)
    done = run_python(OPENED, folder, json.dumps(["events"]))
    assert json.loads(done.stdout.splitlines()[-1]) == [{"events": 2, "others": 2, "copies": 2}, []]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_a_view_is_made_anew_before_rows_can_pass_it_by(run_python: RunPython, tmp_path: Path, *, lost: bool) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    (file,) = _definitions(folder, "copied_*.sql")
    if lost:
        file.unlink()
    else:
        file.write_text("nonsense")
    done = run_python(OPENED, folder, json.dumps(["events"]))
    assert json.loads(done.stdout.splitlines()[-1]) == [{"events": 2, "others": 1, "copies": 2}, []]
    assert f"the view {file.stem} was missing, and is made anew" in done.stderr


@pytest.mark.slow
def test_databases_and_tables_of_our_own_are_made_anew(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    metadata = folder / "engine" / "data" / "metadata"
    (file,) = _definitions(folder, "copied_*.sql")
    (metadata / f"{file.parent.name}.sql").write_text("nonsense")
    (metadata / f"{file.parent.name}_service.sql").unlink()
    (metadata / "clickpipe_spool" / "lines_3.sql").write_text("nonsense")
    (metadata / f"{file.parent.name}_service" / "block_log.sql").write_text("nonsense")
    (file.parent / "notes.txt").write_text("a stray file")
    done = run_python(OPENED, folder, json.dumps(["events"]))
    assert json.loads(done.stdout.splitlines()[-1]) == [{"events": 2, "others": 1, "copies": 2}, []]
    assert "notes.txt is no definition of a table" in done.stderr


@pytest.mark.slow
def test_a_table_that_is_defined_twice_is_named(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    (file,) = _definitions(folder, "copies_[0-9a-f]*.sql")
    file.with_name("a_copy.sql").write_text(file.read_text())
    code, message = json.loads(run_python(OPENED, folder, "[]").stdout.splitlines()[-1])
    assert code == "engine_unavailable"
    assert "defines a table that another file there defines too" in message


@pytest.mark.slow
def test_a_table_whose_folder_is_gone_is_told_until_it_is_dropped(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    (file,) = [file for file in _definitions(folder, "others_*.sql") if "quarantine" not in file.name]
    link = folder / "engine" / "data" / "data" / file.parent.name / file.stem
    shutil.rmtree(link.resolve())
    for rows in (1, 2):
        done = run_python(OPENED, folder, json.dumps(["others"]))
        found, problems = json.loads(done.stdout.splitlines()[-1])
        assert found == {"events": 1, "others": rows, "copies": 1}
        assert problems == ["1 tables lost their rows: their folders are gone: see the log"]
    (note,) = (folder / "engine" / "damaged").glob("*/*.lost")
    file.rename(tmp_path / "others.sql")
    assert lost_tables(folder / "engine") == []
    assert not note.exists()


@pytest.mark.slow
def test_no_table_is_said_to_be_lost_after_a_kill(run_python: RunPython, tmp_path: Path) -> None:
    """Dropped and created ones among them, and those that keep no rows on disk."""
    folder = tmp_path / "data"
    files = dict(FILES)
    for engine in ("Null", "Memory"):
        files[f"{engine.lower()}_.datasource"] = f"SCHEMA >\n    id UInt64\nENGINE {engine}\n"
    forced = "instance.default.deploy(files, allow_destructive=True)"
    killed = MADE.replace("instance.default.deploy(files)", forced).rstrip()
    killed += "\n        import os\n        os._exit(9)\n"
    for number in range(3):
        changed = {**files, f"more{number}.datasource": FILES["events.datasource"]}
        run_python(killed, folder, json.dumps(changed), check=False)
    done = run_python(OPENED, folder, "[]")
    assert json.loads(done.stdout.splitlines()[-1])[1] == []


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("Code: 62. DB::Exception: Syntax error (in file metadata/a.sql): failed", True),
        (
            "Code: 722. DB::Exception: W: Code: 50. DB::Exception: Unknown: from metadata file metadata/a.sql",
            True,
        ),
        ("Code: 241. DB::Exception: Memory limit exceeded: from metadata file metadata/a.sql. ()", False),
        ("Code: 722. DB::Exception: W: Code: 243. DB::Exception: No space: from metadata file metadata/a.sql", False),
        ("Code: 76. DB::ErrnoException: Cannot open file metadata/a.sql: , errno: 24, strerror: Too many", False),
        ("Code: 76. DB::ErrnoException: Cannot open file metadata/a.sql: , errno: 13, strerror: Denied", False),
        ("Code: 107. DB::ErrnoException: Cannot open file metadata/b.sql: , errno: 2, strerror: No such file", True),
        ("Code: 62. DB::Exception: Syntax error (in file metadata/gone.sql): failed", False),
        ("the folder is locked", False),
    ],
)
def test_only_an_error_about_a_file_puts_one_aside(tmp_path: Path, error: str, *, found: bool) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "a.sql").write_text("nonsense")
    (tmp_path / "metadata" / "b.sql").mkdir()
    assert (unreadable._named(tmp_path, error) is not None) is found


@pytest.mark.slow
def test_a_copy_that_followed_links_is_told_how_to_copy(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    run_python(MADE, folder, json.dumps(FILES))
    shutil.copytree(folder, tmp_path / "copy")
    code, message = json.loads(run_python(OPENED, tmp_path / "copy", "[]").stdout.splitlines()[-1])
    assert code == "engine_unavailable"
    assert "Copy the whole data folder again, with its links (`cp -a`" in message
