"""A data folder without its key, its catalog or the newest of it: nothing starts on it, and no table goes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import RunPython

pytestmark = pytest.mark.slow

FILES = {"events.datasource": "SCHEMA >\n    id String,\n    n Int32\nENGINE_SORTING_KEY id\n"}
MADE = """
    import json, os, shutil, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    folder = Path(sys.argv[1])
    instance = Instance(folder, Settings(encryption_key="one"))
    for path in folder.glob("catalog.sqlite*"):
        shutil.copy(path, f"{sys.argv[3]}/{path.name}")
    instance.default.deploy(json.loads(sys.argv[2]))
    instance.default.ingest("events", [{"id": str(k), "n": k} for k in range(10)])
    instance.ingester.close()
    os._exit(9)
"""
OPENED = """
    import json, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.diagnostics import ClickpipeError
    from clickpipe.runtime import Instance

    try:
        with Instance(Path(sys.argv[1]), Settings(encryption_key=sys.argv[2])) as instance:
            rows = instance.default.sql("SELECT count() AS n FROM events")[0]["n"]
            print(json.dumps(["rows", rows]))
    except ClickpipeError as error:
        print(json.dumps([error.code, error.message]))
"""


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("key", "key"),
        ("catalog", "is missing"),
        ("newest", "older than the data"),
        ("all but the engine", "knows of no workspace"),
    ],
)
def test_what_is_missing_or_older_is_told_and_the_rows_stay(
    run_python: RunPython, tmp_path: Path, lost: str, told: str
) -> None:
    folder, older, kept = tmp_path / "data", tmp_path / "older", tmp_path / "kept"
    older.mkdir()
    run_python(MADE, folder, json.dumps(FILES), older, check=False)
    shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("engine"))
    catalog = [
        path for path in folder.glob("catalog.*") if path.suffix != ".generation" or lost == "all but the engine"
    ]
    for path in catalog if lost != "key" else ():
        path.unlink()
    if lost == "newest":
        for path in older.iterdir():
            shutil.copy(path, folder / path.name)
    for _ in range(2):  # and a second start removes nothing either
        code, message = json.loads(run_python(OPENED, folder, "two" if lost == "key" else "one").stdout)
        assert code != "rows"
        assert told in message
    for path in folder.glob("catalog.*"):
        path.unlink()
    for path in kept.glob("catalog.*"):
        shutil.copy(path, folder / path.name)
    assert json.loads(run_python(OPENED, folder, "one").stdout) == ["rows", 10]


def of_engine(folder: Path) -> None:
    shutil.rmtree(folder / "engine")


def of_tables(folder: Path) -> None:
    shutil.rmtree(folder / "engine")
    (folder / "engine").mkdir()


def of_pages(folder: Path) -> None:
    with (folder / "catalog.sqlite").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 20_000)


def of_text(folder: Path) -> None:
    (folder / "catalog.sqlite").write_bytes(b"no database" * 1_000)


@pytest.mark.parametrize(
    ("lose", "told"),
    [
        (of_engine, "none of the 2 tables that the catalog knows of"),
        (of_tables, "none of the 2 tables that the catalog knows of"),
        (of_pages, "is damaged"),
        (of_text, "is damaged"),
    ],
)
def test_what_is_damaged_is_told_and_a_copy_can_be_put_back(
    run_python: RunPython, tmp_path: Path, lose: Callable[[Path], None], told: str
) -> None:
    folder, kept = tmp_path / "data", tmp_path / "kept"
    made = MADE.replace("os._exit(9)", "instance.close()")
    (tmp_path / "older").mkdir()
    run_python(made, folder, json.dumps(FILES), tmp_path / "older")
    shutil.copytree(folder, kept, symlinks=True)
    lose(folder)
    for _ in range(2):
        code, message = json.loads(run_python(OPENED, folder, "one").stdout)
        assert code in {"tables_missing", "catalog_damaged", "catalog_outdated"}
        assert told in message
        assert "\n" not in message
    shutil.rmtree(folder)
    shutil.copytree(kept, folder, symlinks=True)
    assert json.loads(run_python(OPENED, folder, "one").stdout) == ["rows", 10]


def test_a_table_that_is_missing_is_told_and_the_rest_answers(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (tmp_path / "older").mkdir()
    files = {**FILES, "others.datasource": FILES["events.datasource"]}
    drop = "instance.engine.execute('DROP TABLE ' + instance.default.live.physical.tables['others'] + ' SYNC')"
    made = MADE.replace("os._exit(9)", f"{drop}\n    instance.close()")
    run_python(made, folder, json.dumps(files), tmp_path / "older")
    opened = OPENED.replace('print(json.dumps(["rows", rows]))', "print(json.dumps([rows, instance.problems()]))")
    done = run_python(opened, folder, "one")
    assert json.loads(done.stdout.splitlines()[-1]) == [
        10,
        ["1 tables or views were missing at the start: see the log"],
    ]
