"""The catalog's SQLite file: one connection, one lock, transactions."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clickpipe.catalog.generation import require_newest, write_generation
from clickpipe.catalog.migrations import migrate
from clickpipe.diagnostics import ClickpipeError

_LOGGER = logging.getLogger(__name__)


class Database:
    """An SQLite file (None: in memory) with the catalog's schema. Methods may be called from any thread."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, creating it readable only by its owner, and bring its schema up to date.

        Raises ClickpipeError if it is older than the data, damaged, or cannot be opened.
        """
        self._lock = threading.RLock()
        self._path = path
        self._is_newer = False
        if path is not None:
            require_newest(path)
        if path is not None:  # before SQLite opens it: its other files get the same mode
            path.touch(mode=0o600)
            path.chmod(0o600)
        try:
            self._open(path)
        except sqlite3.OperationalError as error:
            raise ClickpipeError(f"The catalog {path} cannot be opened: {error}", status=503) from None
        except sqlite3.DatabaseError as error:
            message = (
                f"The catalog {path} is damaged ({error}), so clickpipe does not start; nothing was changed. "
                "Restore it together with catalog.sqlite-wal, as they were when the server was last stopped."
            )
            raise ClickpipeError(message, status=503, code="catalog_damaged") from None

    def _open(self, path: Path | None) -> None:
        """Open the file and check its integrity. Raises sqlite3.DatabaseError."""
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        try:
            if path is not None and (found := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(" ".join(str(found).split()))
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")  # overwrite values that were stored before encryption
            migrate(self._db)
            self._tell_generation()
        except (sqlite3.Error, ClickpipeError):
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all changes in the block atomic. A nested transaction becomes part of the outer one."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
            if self._is_newer:
                self._tell_generation()

    def _roll_back(self) -> None:
        """Roll back, unless SQLite already did: on a full disk it does so for some statements, but not for COMMIT."""
        self._is_newer = False
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def count_up(self) -> None:
        """Increment the generation; call this in a transaction that changes what workspaces consist of."""
        self.run("UPDATE generation SET number = number + 1")
        self._is_newer = True

    def _tell_generation(self) -> None:
        self._is_newer = False
        if self._path is None:
            return
        number = int(self._db.execute("SELECT number FROM generation").fetchone()[0])
        try:
            write_generation(self._path, number)
        except OSError as error:  # harmless: an older number only makes the check weaker
            _LOGGER.warning("the generation of the catalog cannot be written: %s", error)

    def rows(self, sql: str, *args: object) -> list[sqlite3.Row]:
        """Return the rows of a SELECT."""
        with self._lock:
            return self._db.execute(sql, args).fetchall()

    def run(self, sql: str, *args: object) -> int:
        """Run a statement; return how many rows it changed."""
        with self._lock:
            return self._db.execute(sql, args).rowcount
