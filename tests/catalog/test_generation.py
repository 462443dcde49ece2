"""A catalog that is missing, or older than the data, is not started on, and not touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clickpipe.catalog import Catalog
from clickpipe.diagnostics import ClickpipeError


def copied(source: Path, target: Path, *, wal: bool = True) -> None:
    target.mkdir()
    for path in source.iterdir():
        if wal or not path.name.endswith(("-wal", "-shm")):
            shutil.copy(path, target / path.name)


@pytest.mark.parametrize("lost", ["nothing", "wal", "catalog", "older"])
def test_what_is_older_than_the_data_is_refused(tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    catalog = Catalog(folder / "catalog.sqlite")
    catalog.create_workspace("one")
    catalog._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copied(folder, tmp_path / "older")
    catalog.create_workspace("two")
    copied(folder, tmp_path / "killed", wal=lost != "wal")  # with a file open, as a kill leaves it
    catalog.close()
    path = tmp_path / "killed" / "catalog.sqlite"
    if lost == "catalog":
        for name in ("", "-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
    if lost == "older":
        for name in ("-wal", "-shm"):
            path.with_name(path.name + name).unlink(missing_ok=True)
        shutil.copy(tmp_path / "older" / "catalog.sqlite", path)
    before = {p.name: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")}
    if lost == "nothing":
        again = Catalog(path)
        assert [w.name for w in again.workspaces()] == ["one", "two"]
        again.close()
        return
    with pytest.raises(ClickpipeError, match="is missing" if lost == "catalog" else "is older than the data") as error:
        Catalog(path)
    assert error.value.code == "catalog_outdated"
    assert "catalog.generation" in error.value.message
    assert {p.name: p.read_bytes() for p in path.parent.iterdir() if not p.name.endswith("-shm")} == before
    path.with_name("catalog.generation").unlink()  # as the message says
    Catalog(path).close()


def test_an_older_catalog_from_before_there_was_a_generation_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = Catalog(path)
    catalog.create_workspace("one")
    catalog.close()
    path.with_name("catalog.generation").unlink()
    Catalog(path).close()
    assert path.with_name("catalog.generation").read_text(encoding="ascii") == "2\n"


def test_what_is_rolled_back_counts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalog.sqlite"
    catalog = Catalog(path)

    def fail() -> None:
        with catalog.transaction():
            catalog.create_workspace("one")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it is ours
        fail()
    assert path.with_name("catalog.generation").read_text(encoding="ascii") == "1\n"
    catalog.close()
