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

SLOTS = 8  # inserts of lines at once
CSV_SLOTS = 2  # inserts of CSV records at once
CSV_SECONDS = 30.0  # an insert waits for a slot; not at all after one waited in vain, until a slot is free again
CSV_FIELDS = 128  # most fields of a record
CSV_DELIMITERS = ",;|\t"
ABSENT = r"'\xFF'"  # SQL of what stands for a field that a record does not have: a byte that no UTF-8 has
IMPORT_ID = 36  # characters of an import id: it is a UUID
_KEPT = 16 << 20  # bytes of a file that stay: writing over them costs a twentieth of writing a file anew
_DATABASE = "clickpipe_spool"

# A text is taken as it is written; the file begins with a header, so that only the columns asked for are read.
_CSV_SETTINGS = (
    "input_format_null_as_default = 0, input_format_csv_empty_as_default = 0, input_format_csv_trim_whitespaces = 0, "
    "input_format_csv_allow_cr_end_of_line = 1, input_format_csv_skip_trailing_empty_lines = 1"
)
_ANY_NUMBER = (
    "input_format_csv_allow_variable_number_of_columns = 1, input_format_custom_allow_variable_number_of_columns = 1"
)

Lines = tuple[str, bytes]  # an import id, and lines with \n between them


class NoSlot(Exception):
    """All slots for CSV stay taken: the views behind other inserts take long."""


class Spool:
    """The files and their tables; each is used by one insert at a time."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, made when absent. What a stopped process left in it is in the log too, and removed."""
        self._folder = folder.absolute()
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._free_csv: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._waited_in_vain = False  # for a slot for CSV, since the last was free
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
        kinds = [(slot, d, a) for slot in range(CSV_SLOTS) for d in range(len(CSV_DELIMITERS)) for a in (False, True)]
        tables += [self._csv_table(*kind) for kind in kinds]
        return [f"DROP DATABASE IF EXISTS {_DATABASE} SYNC", f"CREATE DATABASE {_DATABASE}", *tables]

    def _csv_table(self, slot: int, delimiter: int, any_number: bool) -> str:  # noqa: FBT001 - called in one place
        """Return the statement that makes a table over a file of CSV; the CSV format would leave out tabs."""
        kind = f" DEFAULT {ABSENT}" if any_number else ""
        columns = ", ".join(f"f{number} String{kind}" for number in range(1, CSV_FIELDS + 2))
        between = quote_literal(CSV_DELIMITERS[delimiter])
        format_, how = "CSVWithNames", f"format_csv_delimiter = {between}"
        if CSV_DELIMITERS[delimiter] == "\t":
            format_ = "CustomSeparatedWithNames"
            how = f"format_custom_escaping_rule = 'CSV', format_custom_field_delimiter = {between}"
        return (
            f"CREATE TABLE {_DATABASE}.{_csv_name(slot, delimiter, any_number)} ({columns}) "
            f"ENGINE = File({format_}, {quote_literal(str(self._csv_file(slot)))}) SETTINGS {how}, {_CSV_SETTINGS}"
            + (f", {_ANY_NUMBER}" if any_number else "")
        )

    @contextmanager
    def csv(self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False) -> Iterator[str]:
        """Give SQL of a table `(f1 String, f2 String …)` that holds CSV records. Raises OSError, NoSlot."""
        try:
            slot = self._free_csv.get(timeout=0.0 if self._waited_in_vain else CSV_SECONDS)
        except queue.Empty:
            self._waited_in_vain = True
            raise NoSlot from None
        file = self._csv_file(slot)
        try:
            header = delimiter.join(f"f{number}" for number in range(1, fields + 1 + any_number))
            _write(file, header.encode() + b"\n", records)
            yield f"{_DATABASE}.{_csv_name(slot, CSV_DELIMITERS.index(delimiter), any_number)}"
        finally:
            _shorten(file)
            self._free_csv.put(slot)
            self._waited_in_vain = False

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
            _shorten(file)
            self._free.put(slot)


def _csv_name(slot: int, delimiter: int, any_number: bool) -> str:  # noqa: FBT001 - called in two places
    return f"{'ragged' if any_number else 'csv'}_{slot}_{delimiter}"


def reads_csv(fields: int, delimiter: str) -> bool:
    """Tell whether `Spool.csv` takes records of so many fields, with such a delimiter."""
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
    """Return lines, each behind the import id."""
    prefix = import_id.encode()
    assert len(prefix) == IMPORT_ID  # noqa: S101 - the table's SELECT takes it apart by this
    return prefix + data.replace(b"\n", b"\n" + prefix)
