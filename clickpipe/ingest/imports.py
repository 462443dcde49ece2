"""Imports files into a data source: appends rows or replaces existing ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import Any

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import IN_ORDER, Engine, Settings, owner as whose, tagged, work_for
from clickpipe.ingest.counts import SHOWN_BLOCKS, ImportCounts
from clickpipe.ingest.decisions import Decisions
from clickpipe.ingest.files import FileRows, Part
from clickpipe.ingest.import_lines import LinesWriter, Target, Written
from clickpipe.ingest.tables import DeployedTables
from clickpipe.ingest.uncertain import written
from clickpipe.observe import IngestionLog
from clickpipe.project import DataSource
from clickpipe.query import shown_error

_MISSING = "Name them, or let them have their defaults: allow_missing_columns=true (--allow-missing)."
_AT_ONCE = 2  # parts of a file written concurrently, unless their order counts
NO_SETTINGS: Settings = MappingProxyType({})

Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Replacing:
    """What a file replaces: all rows, or those that match a condition (checked and composed SQL).

    `missing` allows a header without some columns; `empty` allows a file without rows.
    """

    condition: str = ""
    missing: bool = False
    empty: bool = False


class Importer:
    """Imports of one workspace. What is deployed is read for every part, as a deployment may come in between."""

    def __init__(
        self,
        engine: Engine,
        tables: DeployedTables,
        recorder: IngestionLog,
        bounds: Settings = NO_SETTINGS,
    ) -> None:
        """Write through `engine` to `tables`; `recorder` records every operation.

        `bounds` are the limits for evaluating a caller's condition.
        """
        self._lines = LinesWriter(engine, tables.sever)
        self._recorder = recorder
        self._engine = engine
        self._tables = tables
        self._owner = tables.workspace
        self._bounds = bounds

    def append(
        self, name: str, rows: FileRows, *, report: Report, before: Mapping[str, Any] | None = None
    ) -> ImportCounts:
        """Append rows. A column that a CSV header does not name gets its DEFAULT or its type's default.

        Written parts stay if a later part cannot be read. Progress goes to `report` after each part; after a restart,
        `before` is the last report, and the import resumes with the next part. Rows that a view or the table refuses go
        to quarantine. Raises ClickpipeError and EngineError.
        """
        counts = ImportCounts.of(before or {}, rows.layout)
        if not counts.parts:
            report(counts.as_dict())
        done = counts.parts
        with self._telling(name, "append", counts):
            for parts in _together(islice(enumerate(rows.parts), done, None)):
                with self._tables.held():
                    live = self._tables.live()
                    into = Target(live, _source(live, name), live.physical.tables[name], rows)
                    self._write_all(into, parts, counts, report, (before or {}).get("decided"))
                report(counts.as_dict())
        return counts

    @contextmanager
    def _telling(self, name: str, event_type: str, counts: ImportCounts) -> Iterator[None]:
        """Record the operation in this block when it ends or fails."""
        started, failed = time.monotonic(), ""
        try:
            yield
        except BaseException as error:
            failed = shown_error(error)
            raise
        finally:
            good, bad = counts.rows, counts.quarantined
            told: dict[str, Any] = {
                "rows": good,
                "rows_quarantine": bad,
                "written_rows": good,
                "written_rows_quarantine": bad,
            }
            told |= {"import_id": counts.import_id, "read_bytes": counts.size}
            self._recorder.operation(
                self._owner, name, event_type, seconds=time.monotonic() - started, error=failed, **told
            )
            for block in counts.blocks[-SHOWN_BLOCKS:]:
                self._recorder.block(self._owner, name, block, counts.import_id, event_type)

    def replace(
        self,
        name: str,
        rows: FileRows,
        how: Replacing,
        *,
        report: Report,
        before: Mapping[str, Any] | None = None,
        tag: str = "",
    ) -> ImportCounts:
        """Replace rows atomically: readers see either the old or the new rows.

        After a restart, `before` is the last report, so that no row is quarantined twice. `tag` marks the statements
        that evaluate the condition while events wait; cancelling one replaces nothing. Raises ClickpipeError 400, and
        replaces nothing, if no row fits, the header lacks columns, or a new row does not match the condition.
        """
        missing = rows.layout.missing if rows.layout else ()
        if missing and not how.missing:
            message = f"The header does not name {', '.join(missing)}: nothing was replaced. {_MISSING}"
            raise ClickpipeError(message, code="columns_missing")
        counts = ImportCounts.of({"import_id": (before or {}).get("import_id")}, rows.layout)
        report(counts.as_dict())
        with self._tables.held(), self._telling(name, "replace", counts):
            live = self._tables.live()
            source, target = _source(live, name), live.physical.tables[name]
            self._replace(live, source, target, rows, counts, how, report, tag)
        return counts

    def _replace(
        self,
        live: Live,
        source: DataSource,
        target: str,
        rows: FileRows,
        counts: ImportCounts,
        how: Replacing,
        report: Report,
        tag: str,
    ) -> None:
        condition = how.condition
        with self._replacement(target, counts.import_id) as replacement:
            for parts in _together(enumerate(rows.parts)):
                self._write_all(Target(live, source, replacement, rows, views=False), parts, counts, report)
                report(counts.as_dict())
            if not counts.rows and (counts.quarantined or not how.empty):
                bad = f"none of its {counts.quarantined} rows fits" if counts.quarantined else "it has no rows"
                message = f"The file would empty '{source.name}', as {bad}: nothing was replaced."
                raise ClickpipeError(message, code="nothing_to_replace_by")
            marked: Settings = {**self._bounds, **tagged(tag)}
            if condition:
                self._require_condition(replacement, condition, marked)
            with self._tables.events_paused():
                if condition:
                    with self._kept_rows(target, replacement, condition, marked) as whole:
                        self._engine.storage.swap(target, whole)
                else:
                    self._engine.storage.swap(target, replacement)
                self._tables.replaced(source.name)

    @contextmanager
    def _kept_rows(self, target: str, new: str, condition: str, marked: Settings) -> Iterator[str]:
        """Yield a table with the target's rows that do not match the condition, and then those of `new`."""
        storage = self._engine.storage
        in_order = bool(storage.kept_in_order([target])) and storage.has_parts(target)
        whole = f"{new[:-1]}_whole`" if in_order else new
        if in_order:
            storage.create_like(whole, target)
        try:
            kept = f"INSERT INTO {whole} SELECT * FROM {target} WHERE NOT ifNull((\n{condition}\n), 0)"
            self._engine.execute(kept, output="Null", settings={**marked, **(IN_ORDER if in_order else {})})
            if in_order:
                storage.share(whole, new)
            yield whole
        finally:
            if in_order:
                storage.drop([whole])

    @contextmanager
    def _replacement(self, target: str, import_id: str) -> Iterator[str]:
        """Create an empty table like the target, and drop it at the end of the block."""
        replacement = f"{target[:-1]}_import_{import_id[:8]}`"
        self._engine.storage.create_like(replacement, target)
        try:
            yield replacement
        finally:
            self._engine.storage.drop([replacement])

    def _require_condition(self, replacement: str, condition: str, marked: Settings) -> None:
        """Raise ClickpipeError if a new row does not match the condition."""
        others = self._counted(replacement, f"NOT ifNull((\n{condition}\n), 0)", marked)
        if others:
            message = f"{others} of the new rows do not meet the replace_condition: nothing was replaced."
            raise ClickpipeError(message, code="condition_not_met")

    def _write_all(
        self,
        into: Target,
        parts: Sequence[tuple[int, Part]],
        counts: ImportCounts,
        report: Report,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        """Write parts concurrently and count them in order; `kept` are decisions from before a restart.

        They are written one by one where an engine keeps the last of several rows. Raises the error of the first part
        that failed.
        """
        decisions = Decisions(kept or {}, lambda decided: report({**counts.as_dict(), "decided": decided}))
        names = written(into.live, into.source.name)
        in_order = self._engine.storage.kept_in_order([into.live.physical.tables[name] for name in names])
        with ThreadPoolExecutor(1 if in_order else len(parts), "import", work_for, (whose(),)) as pool:
            tries = [
                pool.submit(self._write, replace(into, lane=lane), number, part, counts, decisions)
                for lane, (number, part) in enumerate(parts)
            ]
        for (number, part), done in zip(parts, tries, strict=True):
            counts.add(done.result(), number, len(part.data), self._token(into, counts, number))

    def _token(self, into: Target, counts: ImportCounts, number: int) -> str:
        return f"{self._owner}/{into.source.name}/import/{counts.import_id}/{number}"

    def _write(self, into: Target, number: int, part: Part, counts: ImportCounts, decisions: Decisions) -> Written:
        token = self._token(into, counts, number)
        started = time.monotonic()
        found = self._lines.insert(into, counts.import_id, part, token, decisions)
        return replace(found, seconds=time.monotonic() - started)

    def _counted(self, target: str, condition: str, settings: Settings) -> int:
        sql = f"SELECT count() FROM {target} WHERE (\n{condition}\n)"
        return int(json.loads(self._engine.execute(sql, output="JSONCompact", settings=settings).body)["data"][0][0])

    def truncate(self, name: str) -> None:
        """Delete all rows of a data source and its quarantine, or of a quarantine alone.

        That includes everything acknowledged so far, which is inserted first.
        """
        with self._tables.held(), self._tables.events_paused():
            started = time.monotonic()
            tables = self._tables.live().physical.tables
            for each in (name, f"{name}_quarantine"):
                if each in tables:
                    self._engine.storage.truncate(tables[each])
            self._tables.replaced(name)
            self._recorder.operation(self._owner, name, "truncate", seconds=time.monotonic() - started)


def _together(parts: Iterable[tuple[int, Part]]) -> Iterator[list[tuple[int, Part]]]:
    """Yield the parts of a file in groups to write concurrently, while the next group is read ahead."""
    waiting = iter(parts)
    with ThreadPoolExecutor(1, thread_name_prefix="import-reader") as reader:
        coming = reader.submit(lambda: list(islice(waiting, _AT_ONCE)))
        while some := coming.result():
            coming = reader.submit(lambda: list(islice(waiting, _AT_ONCE)))
            yield some


def _source(live: Live, name: str) -> DataSource:
    source = live.compiled.data_sources.get(name)
    if source is None:
        message = f'Data Source "{name}" does not exist'
        raise ClickpipeError(message, status=404, code="not_found")
    return source
