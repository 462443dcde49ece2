"""A transaction that cannot be written is over: what follows it is kept, and nothing of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import pytest

from clickpipe.catalog.database import Database


def kept(path: Path) -> list[str]:
    """Return what another connection sees."""
    with sqlite3.connect(path) as other:
        return [row[0] for row in other.execute("SELECT pipe FROM paused ORDER BY pipe")]


def insert(database: Database, pipes: Iterable[str], *before: str) -> None:
    with database.transaction():
        for sql in before:
            database.run(sql)
        for pipe in pipes:
            database.run("INSERT INTO paused VALUES ('nobody', ?)", pipe)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(tmp_path / "catalog.sqlite")
    made.run("PRAGMA foreign_keys = OFF")
    return made


def test_a_commit_that_fails_ends_its_transaction(tmp_path: Path, database: Database) -> None:
    database.run("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):  # refused at the COMMIT, as a full disk may be
        insert(database, ["lost"], "PRAGMA defer_foreign_keys = ON")
    database.run("PRAGMA foreign_keys = OFF")
    insert(database, ["kept"])
    assert kept(tmp_path / "catalog.sqlite") == ["kept"]


def test_a_statement_at_which_sqlite_gives_up_keeps_its_own_error(tmp_path: Path, database: Database) -> None:
    pages = database.rows("PRAGMA page_count")[0][0]
    database.run(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        insert(database, (f"lost{number}" for number in range(100_000)))
    database.run("PRAGMA max_page_count = 1000000")
    insert(database, ["kept"])
    assert kept(tmp_path / "catalog.sqlite") == ["kept"]
