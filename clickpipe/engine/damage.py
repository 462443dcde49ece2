"""Parts that did not get to the disk: found, and taken out, so that what was written into them can be written again.

The embedded ClickHouse (26.9) does not look at whether what it writes gets to the disk. On a full one an INSERT
succeeds and leaves a part of empty files; a merge puts such a part in the place of good ones. It only counts the writes
that the system refused. So that number is asked for after statements that write. Where it has grown, the parts made
since are checked. One that an insert made is taken out, and its token with it: the same insert writes its rows again.
One that was merged is taken out too, and ClickHouse goes back to those that it was made of, which it keeps for minutes.

For this a table is detached for a moment: that takes no room on the disk, and ClickHouse reads it anew.
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
_SECONDS = 2.0  # that a part may look older than it is: times of parts are whole seconds
_PLENTY = 64 << 20  # bytes: with more space than that the system has refused nothing a moment ago
_WRITES_ROWS = re.compile(
    r"\s*+(?:(?:INSERT|ALTER|OPTIMIZE|DELETE|TRUNCATE)\b|CREATE\s++TABLE\b.*?\bAS\s++(?:SELECT|WITH)\b)",
    re.IGNORECASE | re.DOTALL,
)
_OWN = re.compile(r"\s*+INSERT\s++INTO\s++`?clickpipe_", re.IGNORECASE)  # in memory
_AGAIN_AFTER = (0.05, 0.2, 1.0, 3.0, 10.0)  # seconds: a query may still read a table that was detached

Run = Callable[[str, str], bytes]  # a statement, and the format of its result


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
    """Looks after parts of one ClickHouse. Methods may be called from any thread."""

    def __init__(self, folder: Path | None, run: Run, ran: Callable[[str], None]) -> None:
        """Ask through `run`, which raises EngineError; `ran` is told of statements that change tables.

        Without a folder nothing is on a disk, and nothing is asked.
        """
        self._folder = folder
        self._run = run
        self._ran = ran
        self._lock = threading.Lock()
        self._calm = threading.Event()
        self._calm.set()
        self._gone = ""  # the name of a table that is detached
        self._away: set[str] = set()  # tables that could not be attached again
        self.last = Look(0, time.time(), 0)

    def begin(self, sql: str) -> Look | None:
        """Return what is known before a statement that writes rows, None for others.

        One that names a table which is away for a moment waits for it, some seconds at most.
        """
        if self._gone and self._gone in sql:
            self._calm.wait(_PATIENCE)
        writes = self._folder is not None and _WRITES_ROWS.match(sql) is not None and _OWN.match(sql) is None
        return self.last if writes else None

    def end(self, since: Look, *, frequent: bool = False) -> None:
        """Look at what a statement wrote. Raises EngineError where rows did not get to the disk: to be run again.

        Behind a `frequent` one only when there is little space; who runs those looks from time to time.
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
        """Look at what was written since another look.

        Where the one returned tells of more `repairs`, rows that were written between may be gone, and are to be
        written again. Raises EngineError where parts are damaged and cannot be taken out now.
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
            if not int(self._run(_MERGES, "TSVRaw")):  # what one of them is writing is looked at when it is there
                self.last = found
            return found

    def _count_repair(self) -> None:
        self.last = replace(self.last, repairs=self.last.repairs + 1)

    def start(self) -> int:
        """Forget the tokens of inserts whose parts a start put aside as damaged; return how many parts those are."""
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
        with contextlib.suppress(FileNotFoundError):  # it is merged meanwhile
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
            # What reads the table is ended: it would meet the damage, and the table cannot come back before.
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
        """End the mutations whose text did not get to the disk."""
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
                if error.name in {"TABLE_ALREADY_EXISTS", "UNKNOWN_TABLE"}:  # somebody else did, or dropped it
                    break
                if seconds is None:
                    raise
                time.sleep(seconds)
            else:
                break
        self._away.discard(table)


def _put_aside(part: Path) -> None:
    """Remove a damaged part that has no bytes; keep another where ClickHouse keeps what it does not use."""
    if not part.exists():
        return
    if not any(file.stat().st_size for file in part.rglob("*") if file.is_file()):
        shutil.rmtree(part)
        return
    folder = part.parent if part.parent.name == "detached" else part.parent / "detached"
    name = f"broken_{part.name.removeprefix(_ASIDE)}"
    names = itertools.chain([name], (f"{name}_try{number}" for number in itertools.count(1)))
    part.rename(next(free for name in names if not (free := folder / name).exists()))
