"""Lines on their way into the embedded engine: files that ClickHouse reads as tables.

An INSERT with its data behind it costs chdb 9 ms for each MB, whatever the format; reading a file costs a tenth. The
engine's user has no grant on files, though, and is to have none: so the tables that read them are made when the folder
is opened for the first time, by a configuration that grants it; a table that exists needs no grant on its source.
They read the files of this module alone, and no SQL of a caller's may name them.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clickpipe.sql import quote_literal

SLOTS = 8  # inserts at once
IMPORT_ID = 36  # characters of an import id: it is a UUID
_KEPT = 16 << 20  # bytes of a file that stay: writing over them costs a twentieth of writing a file anew
_DATABASE = "clickpipe_spool"

Lines = tuple[str, bytes]  # an import id, and lines with \n between them


class Spool:
    """The files and their tables; each is used by one insert at a time."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when absent. What a stopped process left in it is in the log too, and removed."""
        self._folder = folder.absolute()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._folder.mkdir(parents=True, exist_ok=True)
        for slot in range(SLOTS):
            self._file(slot).write_bytes(b"")
            self._free.put(slot)

    def _file(self, slot: int) -> Path:
        return self._folder / f"lines_{slot}"

    def is_ready(self) -> bool:
        """Tell whether the tables were made for this folder, where it is now."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._mark().read_text(encoding="utf-8")) == self._statements())
        return False

    def prepare(self, execute: Callable[[str], object]) -> None:
        """Make the tables, by a session that may read files."""
        for statement in self._statements():
            execute(statement)
        self._mark().write_text(json.dumps(self._statements()), encoding="utf-8")

    def _mark(self) -> Path:
        return self._folder / "tables.json"

    def _statements(self) -> list[str]:
        tables = [
            f"CREATE TABLE {_DATABASE}.lines_{slot} (text String) "
            f"ENGINE = File(LineAsString, {quote_literal(str(self._file(slot)))})"
            for slot in range(SLOTS)
        ]
        return [f"DROP DATABASE IF EXISTS {_DATABASE} SYNC", f"CREATE DATABASE {_DATABASE}", *tables]

    @contextmanager
    def lines(self, batches: Sequence[Lines]) -> Iterator[str]:
        """Give SQL of a table `(import_id String, document String)` that holds these lines. Raises OSError."""
        slot = self._free.get()
        file = self._file(slot)
        try:
            if len(batches) == 1:
                import_id, data = batches[0]
                _write(file, data)
                named = f"{quote_literal(import_id)} AS import_id"
                yield f"(SELECT {named}, text AS document FROM {_DATABASE}.lines_{slot})"
            else:
                _write(file, b"\n".join(_behind_its_id(*batch) for batch in batches))
                names, rest = f"substring(text, 1, {IMPORT_ID})", f"substring(text, {IMPORT_ID + 1})"
                yield f"(SELECT {names} AS import_id, {rest} AS document FROM {_DATABASE}.lines_{slot})"
        finally:
            with contextlib.suppress(OSError):
                if file.stat().st_size > _KEPT:
                    os.truncate(file, _KEPT)
            self._free.put(slot)


def _write(file: Path, data: bytes) -> None:
    with file.open("r+b") as out:
        out.write(data)
        out.truncate()


def _behind_its_id(import_id: str, data: bytes) -> bytes:
    """Return lines, each behind the import id."""
    prefix = import_id.encode()
    assert len(prefix) == IMPORT_ID  # noqa: S101 - the table's SELECT takes it apart by this
    return prefix + data.replace(b"\n", b"\n" + prefix)
