"""Hands lines to the embedded engine as files that ClickHouse reads as tables.

An INSERT that carries its data costs chdb 9 ms per MB, whatever the format; reading a file costs a tenth of that. But
the engine's user has no grant on files, and should not. So the tables that read them are created when the folder is
first opened, under a configuration that grants it; using an existing table needs no grant on its source. The tables
read only this module's files, and callers' SQL may not name them.
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

SLOTS = 8  # concurrent inserts of lines
CSV_SLOTS = 2  # concurrent inserts of CSV records
CSV_SECONDS = 30.0  # longest wait for a slot; once one wait has failed, others do not wait until a slot is freed
CSV_FIELDS = 128  # at most, per record
CSV_DELIMITERS = ",;|\t"
ABSENT = r"'\xFF'"  # SQL literal that stands for a missing field: a byte that UTF-8 never contains
IMPORT_ID = 36  # characters of an import id, a UUID
_KEPT = 16 << 20  # bytes of a file to keep: overwriting costs a twentieth of growing a new file
SPOOL_DATABASE = "clickpipe_spool"
SPOOL_MARK = "tables.json"

# Fields are taken as written. The file starts with a header, so that ClickHouse reads only the requested columns.
_CSV_SETTINGS = (
    "input_format_null_as_default = 0, input_format_csv_empty_as_default = 0, input_format_csv_trim_whitespaces = 0, "
    "input_format_csv_allow_cr_end_of_line = 1, input_format_csv_skip_trailing_empty_lines = 1"
)
_ANY_NUMBER = (
    "input_format_csv_allow_variable_number_of_columns = 1, input_format_custom_allow_variable_number_of_columns = 1"
)

Lines = tuple[str, bytes]  # import id, and lines separated by \n


class NoSlot(Exception):
    """No CSV slot became free in time: other inserts are slow, usually because of their views."""


class Spool:
    """The files and their tables. Each slot serves one insert at a time."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, creating it if needed. Leftovers of a stopped process are removed: the log has them too."""
        self._folder = folder.absolute()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._free_csv: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._waited_in_vain = False  # a wait for a CSV slot failed, and none has been freed since
        self._folder.mkdir(parents=True, exist_ok=True)
        for slot in range(SLOTS):
            self._file(slot).write_bytes(b"")
            self._free.put(slot)
        for slot in range(CSV_SLOTS):
            self._csv_file(slot).write_bytes(b"")
            self._free_csv.put(slot)

    def _file(self, slot: int) -> Path:
        return self._folder / f"lines_{slot}"

    def _csv_file(self, slot: int) -> Path:
        return self._folder / f"csv_{slot}"

    def is_ready(self) -> bool:
        """Return whether the tables were created for this folder at its current path."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._mark().read_text(encoding="utf-8")) == self._statements())
        return False

    def prepare(self, execute: Callable[[str], object]) -> None:
        """Create the tables, through a session that may read files."""
        for statement in self._statements():
            execute(statement)
        self._mark().write_text(json.dumps(self._statements()), encoding="utf-8")

    def _mark(self) -> Path:
        return self._folder / SPOOL_MARK

    def _statements(self) -> list[str]:
        tables = [
            f"CREATE TABLE {SPOOL_DATABASE}.lines_{slot} (text String) "
            f"ENGINE = File(LineAsString, {quote_literal(str(self._file(slot)))})"
            for slot in range(SLOTS)
        ]
        kinds = [(slot, d, a) for slot in range(CSV_SLOTS) for d in range(len(CSV_DELIMITERS)) for a in (False, True)]
        tables += [self._csv_table(*kind) for kind in kinds]
        return [f"DROP DATABASE IF EXISTS {SPOOL_DATABASE} SYNC", f"CREATE DATABASE {SPOOL_DATABASE}", *tables]

    def _csv_table(self, slot: int, delimiter: int, any_number: bool) -> str:  # noqa: FBT001 - called in one place
        """Return the CREATE statement of a table over a CSV file; for tabs not in the CSV format, which skips them."""
        kind = f" DEFAULT {ABSENT}" if any_number else ""
        columns = ", ".join(f"f{number} String{kind}" for number in range(1, CSV_FIELDS + 2))
        between = quote_literal(CSV_DELIMITERS[delimiter])
        format_, how = "CSVWithNames", f"format_csv_delimiter = {between}"
        if CSV_DELIMITERS[delimiter] == "\t":
            format_ = "CustomSeparatedWithNames"
            how = f"format_custom_escaping_rule = 'CSV', format_custom_field_delimiter = {between}"
        return (
            f"CREATE TABLE {SPOOL_DATABASE}.{_csv_name(slot, delimiter, any_number)} ({columns}) "
            f"ENGINE = File({format_}, {quote_literal(str(self._csv_file(slot)))}) SETTINGS {how}, {_CSV_SETTINGS}"
            + (f", {_ANY_NUMBER}" if any_number else "")
        )

    @contextmanager
    def csv(self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False) -> Iterator[str]:
        """Yield SQL that reads as a table `(f1 String, f2 String …)` of CSV records. Raises OSError, NoSlot."""
        try:
            slot = self._free_csv.get(timeout=0.0 if self._waited_in_vain else CSV_SECONDS)
        except queue.Empty:
            self._waited_in_vain = True
            raise NoSlot from None
        file = self._csv_file(slot)
        try:
            header = delimiter.join(f"f{number}" for number in range(1, fields + 1 + any_number))
            _write(file, header.encode() + b"\n", records)
            yield f"{SPOOL_DATABASE}.{_csv_name(slot, CSV_DELIMITERS.index(delimiter), any_number)}"
        finally:
            _shorten(file)
            self._free_csv.put(slot)
            self._waited_in_vain = False

    @contextmanager
    def lines(self, batches: Sequence[Lines]) -> Iterator[str]:
        """Yield SQL that reads as a table `(import_id String, document String)` of these lines. Raises OSError."""
        slot = self._free.get()
        file = self._file(slot)
        try:
            if len(batches) == 1:
                import_id, data = batches[0]
                _write(file, data)
                named = f"{quote_literal(import_id)} AS import_id"
                yield f"(SELECT {named}, text AS document FROM {SPOOL_DATABASE}.lines_{slot})"
            else:
                _write(file, b"\n".join(_behind_its_id(*batch) for batch in batches))
                names, rest = f"substring(text, 1, {IMPORT_ID})", f"substring(text, {IMPORT_ID + 1})"
                yield f"(SELECT {names} AS import_id, {rest} AS document FROM {SPOOL_DATABASE}.lines_{slot})"
        finally:
            _shorten(file)
            self._free.put(slot)


def _csv_name(slot: int, delimiter: int, any_number: bool) -> str:  # noqa: FBT001 - called in two places
    return f"{'ragged' if any_number else 'csv'}_{slot}_{delimiter}"


def reads_csv(fields: int, delimiter: str) -> bool:
    """Return whether `Spool.csv` can read records with this many fields and this delimiter."""
    return fields <= CSV_FIELDS and len(delimiter) == 1 and delimiter in CSV_DELIMITERS


def _write(file: Path, *parts: bytes) -> None:
    with file.open("r+b") as out:
        out.writelines(parts)
        out.truncate()


def _shorten(file: Path) -> None:
    with contextlib.suppress(OSError):
        if file.stat().st_size > _KEPT:
            os.truncate(file, _KEPT)


def _behind_its_id(import_id: str, data: bytes) -> bytes:
    """Return the lines, each prefixed with the import id."""
    prefix = import_id.encode()
    assert len(prefix) == IMPORT_ID  # noqa: S101 - the table's SELECT splits lines at this length
    return prefix + data.replace(b"\n", b"\n" + prefix)
