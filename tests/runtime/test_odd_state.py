"""A data folder without its key, its catalog or the newest of it: nothing starts on it, and no table goes."""

from __future__ import annotations

import json
import shutil
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
