"""Finds and removes parts that never reached the disk, so that their rows can be written again.

The embedded ClickHouse (26.9) does not check whether its writes succeed. On a full disk an INSERT "succeeds" and leaves
a part of empty files; a merge replaces good parts with such a part. ClickHouse only counts the writes that the system
refused, so we read that counter after statements that write. If it grew, we check the parts made since. A damaged part
from an insert is removed along with its deduplication token, so repeating the insert writes the rows again. A damaged
part from a merge is removed too; ClickHouse then falls back to the source parts, which it keeps for some minutes.

To do this, the table is detached for a moment: that needs no disk space, and ClickHouse reloads it from disk.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clickpipe.engine.protocol import EngineError, Look
from clickpipe.engine.repair import forget_tokens, mend_deduplication_log
from clickpipe.engine.space import definition_of, unwritten_mutations

_LOGGER = logging.getLogger(__name__)
_REFUSED = "SELECT value FROM system.events WHERE event = 'WriteBufferFromFileDescriptorWriteFailed'"
_MADE = (
    "SELECT database, table, name, path FROM system.parts "
    "WHERE active AND modification_time >= fromUnixTimestamp({since}) AND NOT startsWith(database, 'clickpipe_') "
    "ORDER BY ALL"
)
_MERGES = "SELECT count() FROM system.merges"
_PUT_ASIDE = (
    "SELECT database, table, name, path FROM system.detached_parts "
    "WHERE reason = 'broken-on-start' AND min_block_number = max_block_number ORDER BY ALL"
)
_ASIDE = "broken-on-start_"
_PATIENCE = 5.0  # seconds
_SECONDS = 2.0  # a part may look this much older than it is: part times are whole seconds
_PLENTY = 64 << 20  # bytes: with more free space than this, no write can have been refused a moment ago
_WRITES_ROWS = re.compile(
    r"\s*+(?:(?:INSERT|ALTER|OPTIMIZE|DELETE|TRUNCATE)\b|CREATE\s++TABLE\b.*?\bAS\s++(?:SELECT|WITH)\b)",
    re.IGNORECASE | re.DOTALL,
)
_OWN = re.compile(r"\s*+INSERT\s++INTO\s++`?clickpipe_", re.IGNORECASE)  # databases in memory
_AGAIN_AFTER = (0.05, 0.2, 1.0, 3.0, 10.0)  # seconds: a running query may still use the detached table

Run = Callable[[str, str], bytes]  # (statement, output format) -> result


@dataclass(frozen=True, slots=True)
class _Part:
    database: str
    table: str
    name: str
    path: Path

    @property
    def of(self) -> str:
        return f"`{self.database}`.`{self.table}`"


class Inspector:
    """Checks the parts of one ClickHouse for damage. Methods may be called from any thread."""

    def __init__(self, folder: Path | None, run: Run, ran: Callable[[str], None]) -> None:
        """Query through `run`, which raises EngineError; call `ran` with statements that change tables.

        Without a folder there is no disk, and nothing is checked.
        """
        self._folder = folder
        self._run = run
        self._ran = ran
        self._lock = threading.Lock()
        self._calm = threading.Event()
        self._calm.set()
        self._gone = ""  # name of the table that is detached at the moment
        self._away: set[str] = set()  # tables that still have to be attached again
        self.last = Look(0, time.time(), 0)

    def begin(self, sql: str) -> Look | None:
        """Return the state before a statement that writes rows, for `end`; None for other statements.

        A statement that names a detached table waits until it is back, a few seconds at most.
        """
        if self._gone and self._gone in sql:
            self._calm.wait(_PATIENCE)
        writes = self._folder is not None and _WRITES_ROWS.match(sql) is not None and _OWN.match(sql) is None
        return self.last if writes else None

    def end(self, since: Look, *, frequent: bool = False) -> None:
        """Check what a statement wrote. Raises EngineError if rows did not reach the disk; the caller runs it again.

        After a `frequent` statement this checks only when space is low; its caller calls `inspect` now and then.
        """
        if frequent and self._free() >= _PLENTY:
            return
        if self.inspect(since).repairs != since.repairs:
            text = "not enough space on the disk: not all that was written got there"
            raise EngineError(f"Code: 243. DB::Exception: {text}. (NOT_ENOUGH_SPACE)")

    def _free(self) -> int:
        found = os.statvfs(self._folder or ".")
        return found.f_bavail * found.f_frsize

    def inspect(self, since: Look) -> Look:
        """Check what was written since an earlier look.

        If the returned look has more `repairs`, rows written in between may be gone and have to be written again.
        Raises EngineError if damaged parts cannot be removed now.
        """
        if self._folder is None:
            return self.last
        with self._lock:
            for table in tuple(self._away):
                self._attach(table)
            began, refused = time.time(), self._refused()
            if refused == since.refused:
                if refused == self.last.refused:
                    self.last = Look(refused, began, self.last.repairs)
                return Look(refused, began, self.last.repairs)
            oldest = min(since.at, self.last.at, began)  # the clock may have been set back
            self._end_mutations(self._folder / "data")
            damaged = [part for part in self._parts(_MADE.format(since=int(oldest - _SECONDS))) if self._is_bad(part)]
            for table in sorted({part.of for part in damaged}):
                self._take_out([part for part in damaged if part.of == table])
            found = Look(refused, began, self.last.repairs)
            if not int(self._run(_MERGES, "TSVRaw")):  # a running merge's part is checked next time, once it exists
                self.last = found
            return found

    def _count_repair(self) -> None:
        self.last = replace(self.last, repairs=self.last.repairs + 1)

    def start(self) -> int:
        """Forget the tokens of inserts whose parts ClickHouse set aside as damaged at start; return how many."""
        found: list[_Part] = []
        try:
            found += self._parts(_PUT_ASIDE)
            for part in found:
                self._take_out([replace(part, name=part.name.removeprefix(_ASIDE))])
        except EngineError:
            _LOGGER.exception("what a start put aside as damaged is not looked after")
        return len(found)

    def _refused(self) -> int:
        return int(self._run(_REFUSED, "TSVRaw") or 0)

    def _parts(self, sql: str) -> Iterator[_Part]:
        rows: list[list[Any]] = json.loads(self._run(sql, "JSONCompact"))["data"]
        return (_Part(database, table, name, Path(path)) for database, table, name, path in rows)

    def _is_bad(self, part: _Part) -> bool:
        with contextlib.suppress(FileNotFoundError):  # merged away in the meantime
            if any(not file.stat().st_size for end in ("txt", "json") for file in part.path.glob(f"*.{end}")):
                return True
        sql = f"CHECK TABLE {part.of} PART '{part.name}' SETTINGS check_query_single_value_result = 0"
        try:
            rows: list[list[Any]] = json.loads(self._run(sql, "JSONCompact"))["data"]
        except EngineError as error:
            if error.name in {"NO_SUCH_DATA_PART", "UNKNOWN_TABLE", "UNKNOWN_DATABASE"}:
                return False
            raise
        return any(not int(fine) for _, fine, _ in rows)

    def _take_out(self, parts: list[_Part]) -> None:
        table = parts[0].of
        definition = definition_of(self._folder or Path(), table)
        if not definition.exists() or not definition.stat().st_size:
            message = f"parts of {table} are damaged, and so is its definition"
            raise EngineError(message)
        _LOGGER.error("%d parts of %s did not get to the disk, and are taken out", len(parts), table)
        self._gone = parts[0].table
        self._calm.clear()
        try:
            # End queries that read the table: they would hit the damage, and block attaching it again.
            readers = f"position(query, '{self._gone}') > 0 AND NOT startsWith(query, 'KILL')"
            self._run(f"KILL QUERY WHERE {readers} ASYNC", "Null")
            self._run(f"DETACH TABLE {table}", "Null")
            self._count_repair()
            try:
                for part in parts:
                    _put_aside(part.path)
                folder = parts[0].path.parent
                folder = folder.parent if folder.name == "detached" else folder
                forget_tokens(folder, [part.name for part in parts])
                mend_deduplication_log(folder)
            except OSError as error:
                message = f"damaged parts of {table} cannot be taken out: {error.strerror}"
                raise EngineError(message) from error
            finally:
                self._attach(table)
        finally:
            self._gone = ""
            self._calm.set()
            self._ran(f"ATTACH TABLE {table}")

    def _end_mutations(self, data: Path) -> None:
        """Kill and remove mutations whose text did not reach the disk."""
        for file in unwritten_mutations(data):
            _LOGGER.error("the mutation %s did not get to the disk, and is ended", file.name)
            table = f"SELECT database, name FROM system.tables WHERE uuid = '{file.parent.name}'"
            where = f"(database, table) IN ({table}) AND mutation_id = '{file.name}'"
            self._run(f"KILL MUTATION WHERE {where} SYNC", "Null")
            file.unlink(missing_ok=True)
            self._count_repair()

    def _attach(self, table: str) -> None:
        self._away.add(table)
        for seconds in (*_AGAIN_AFTER, None):
            try:
                self._run(f"ATTACH TABLE {table}", "Null")
            except EngineError as error:
                if error.name in {"TABLE_ALREADY_EXISTS", "UNKNOWN_TABLE"}:  # somebody else attached or dropped it
                    break
                if seconds is None:
                    raise
                time.sleep(seconds)
            else:
                break
        self._away.discard(table)


def _put_aside(part: Path) -> None:
    """Delete a damaged part that has no bytes; move any other to `detached`, where ClickHouse keeps unused parts."""
    if not part.exists():
        return
    if not any(file.stat().st_size for file in part.rglob("*") if file.is_file()):
        shutil.rmtree(part)
        return
    folder = part.parent if part.parent.name == "detached" else part.parent / "detached"
    name = f"broken_{part.name.removeprefix(_ASIDE)}"
    names = itertools.chain([name], (f"{name}_try{number}" for number in itertools.count(1)))
    part.rename(next(free for name in names if not (free := folder / name).exists()))
