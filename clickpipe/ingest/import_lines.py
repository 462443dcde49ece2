"""Writes a part of a file: stages and inserts its rows, and puts those that do not fit in quarantine."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from clickpipe.catalog import Live
from clickpipe.diagnostics import Word
from clickpipe.engine import ONE_THREAD, Engine, EngineError, NoSlot, Settings, once, row_by_row
from clickpipe.ingest.body import Lines
from clickpipe.ingest.csv_rows import CsvRows
from clickpipe.ingest.csv_texts import csv_texts
from clickpipe.ingest.decisions import Decisions
from clickpipe.ingest.files import FileRows, Part
from clickpipe.ingest.insert import insert_staged
from clickpipe.ingest.judge import Failure, is_passing
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.mapping import RowMapping, build_mapping
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.staged import StagedRows
from clickpipe.ingest.typed_rows import TypedRows, loaded
from clickpipe.ingest.uncertain import has_only_own_views, has_views, is_uncertain
from clickpipe.ingest.writes import Sever, retarget
from clickpipe.project import Column, DataSource
from clickpipe.sql import quote_literal

_LOGGER = logging.getLogger(__name__)
OTHERS = "/others"  # suffix of the token for a CSV part's rows with a wrong number of fields


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows were written, how many went to quarantine, and how many of those are not rows at all.

    `seconds` is how long it took.
    """

    good: int = 0
    bad: int = 0
    invalid: int = 0
    seconds: float = 0.0

    def __add__(self, other: Written | None) -> Written:
        """Return the sum of both."""
        other = other or Written()
        return Written(self.good + other.good, self.bad + other.bad, self.invalid + other.invalid)


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are written, and how they come: into a data source, or a table to take its place (no `views` then).

    Parts of a file that are written at once have a `lane` each.
    """

    live: Live
    source: DataSource
    table: str
    rows: FileRows
    views: bool = True
    lane: int = 0

    def for_lines(self) -> Target:
        """Return the target for lines without a header."""
        return replace(self, rows=replace(self.rows, layout=None))

    def mapping(self, import_id: str) -> RowMapping:
        """Return the statements that write the rows."""
        source, layout = self.source, self.rows.layout
        if self.rows.named:
            source = replace(source, columns=tuple(self._column(c) for c in source.columns))
        texts = csv_texts(source, layout) if layout else None
        quarantine = self.live.physical.tables[f"{source.name}_quarantine"]
        own = self.owner(import_id)
        return build_mapping(source, own, self.table, quarantine, quoted=self.rows.named, texts=texts)

    def owner(self, import_id: str) -> str:
        """Return the prefix of the temporary tables for a part."""
        return f"import_{import_id}_{self.lane}"

    def _column(self, column: Column) -> Column:
        """Return the column as read by its name; one that the header lacks gets a default."""
        layout = self.rows.layout
        if layout is None or column.name not in layout.missing or column.nullable or column.default is not None:
            return replace(column, jsonpath=None)
        default = Word(f"defaultValueOfTypeName({quote_literal(column.type)})", column.span)
        return replace(column, jsonpath=None, default=default)


class _Copies:
    """The copies of a target's table and views that check one part of a file, created on demand."""

    def __init__(self, engine: Engine, into: Target, import_id: str) -> None:
        self._engine = engine
        self._into = into
        self._owner = into.owner(import_id)
        self._probe: Probe | None = None
        self._kept: Kept | None = None

    def probe(self) -> Probe:
        """Return the copy that shows which table or view refuses rows. Raises EngineError."""
        into = self._into
        if self._probe is None:
            self._probe = Probe(self._engine, into.live, into.source.name, self._owner, views=into.views)
        return self._probe

    def kept(self) -> Kept | None:
        """Return the copy that keeps what views make, or None if a standby's get the rows too. Raises EngineError."""
        into = self._into
        if not has_only_own_views(self._engine, into.live, into.source.name):
            return None
        if self._kept is None:
            self._kept = Kept(self._engine, into.live, into.source.name, self._owner)
        return self._kept

    def drop(self) -> None:
        """Drop the copies. Raises EngineError."""
        for copy in (self._probe, self._kept):
            if copy is not None:
                copy.drop()


class LinesWriter:
    """Writes rows of files, which do not go through the log."""

    def __init__(self, engine: Engine, sever: Sever) -> None:
        """Write through `engine`; `sever` is called when an insert fails: see `insert_staged`."""
        self._engine = engine
        self._sever = sever
        self._one_by_one = threading.Lock()  # for rewriting CSV, which takes many times its size in memory

    def insert(self, into: Target, import_id: str, part: Part, token: str, how: Decisions) -> Written:
        """Insert rows; return what was written.

        Decisions about refused rows are recorded in `how`. Repeating this with the same token and decisions changes
        nothing. Raises EngineError, and what `how` raises.
        """
        if isinstance(part, TypedRows):
            return self._insert_typed(into, import_id, part, token, how)
        if isinstance(part, Lines):
            into = into.for_lines()
        busy = False
        try:
            if (written := self._insert(into, import_id, part, token, how)) is not None:
                return written
        except NoSlot:  # nothing was written
            busy = True
        assert isinstance(part, CsvRows)  # noqa: S101 - lines are taken as they are
        with self._one_by_one:
            return self._insert_sorted_out(into, import_id, part, token, how, as_arrays=busy)

    def _insert_sorted_out(
        self, into: Target, import_id: str, part: CsvRows, token: str, how: Decisions, *, as_arrays: bool
    ) -> Written:
        plain, others = part.sorted_out(as_arrays=as_arrays)
        try:
            written = self._insert(into, import_id, plain, token, how)
        except NoSlot:  # as above
            return self._insert_sorted_out(into, import_id, part, token, how, as_arrays=True)
        if written is None:
            message = "CSV that was sorted out could not be read."
            raise RuntimeError(message)
        return written + self._insert(into.for_lines(), import_id, others, f"{token}{OTHERS}", how)

    def _insert_typed(self, into: Target, import_id: str, part: TypedRows, token: str, how: Decisions) -> Written:
        """Insert rows directly; or as lines if some do not fit or are refused, or views may treat rows differently."""
        name, copies = into.source.name, _Copies(self._engine, into, import_id)
        ahead = into.views and has_views(into.live, name)
        try:
            with loaded(self._engine, into.owner(import_id), part) as rows:
                direct = how.find(token) is None and not (ahead and is_uncertain(self._engine, into.live, name))
                if direct and (written := rows.insert(into.table, token, copies.probe if ahead else None)):
                    return Written(written)
                lines = rows.lines()
        finally:
            copies.drop()
        return self._insert(into, import_id, lines, token, how) or Written()

    def _insert(
        self, into: Target, import_id: str, part: Lines | CsvRows, token: str, how: Decisions
    ) -> Written | None:
        """Insert rows; return None, having written nothing, for CSV that has to be rewritten first."""
        if not part.data:
            return Written()
        mapping, name = into.mapping(import_id), into.source.name
        copies = _Copies(self._engine, into, import_id)
        ahead = into.views and has_views(into.live, name)
        unsure = ahead and is_uncertain(self._engine, into.live, name)
        try:
            decided = how.find(token)
            direct = part if isinstance(part, CsvRows) and not unsure and decided is None else None
            if direct and (rows := self._directly(mapping, direct, token, copies.probe if ahead else None)):
                return Written(rows)
            self._engine.execute(mapping.create)
            invalid = self._stage(mapping, part, import_id)
            if invalid is None:
                return None
            body = self._engine.execute(mapping.count, {"ids": [import_id]}, output="JSONCompact").body
            found: list[list[Any]] = json.loads(body)["data"]
            good, bad = (int(found[0][1]), int(found[0][2])) if found else (0, 0)
            staged = StagedRows(mapping, good, bad, token, copies.probe, ahead, kept=copies.kept if unsure else None)
            refused = self._insert_staged(staged, how)
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {mapping.table}")
            copies.drop()
        return Written(good - refused, bad + refused, invalid)

    def _directly(self, mapping: RowMapping, part: CsvRows, token: str, probe: Callable[[], Probe] | None) -> int:
        """Insert CSV without staging if every row fits, and return the number of rows.

        Returns 0 if that is impossible; then nothing was written, or repeating the insert is deduplicated by its token.
        """
        settings: Settings = {**ONE_THREAD, **mapping.settings([part.data])}
        if not part.is_readable or row_by_row(settings):
            return 0
        marked: Settings = {**settings, **once(token)}
        try:
            with self._engine.csv(part.data, part.width, part.layout.delimiter) as records:
                statement = mapping.direct(part.exactly(records))
                if probe is None:
                    return self._engine.execute(statement, output="Null", settings=marked).rows_read
                self._engine.execute(retarget(statement, probe().table), output="Null", settings=settings)
                self._engine.execute(statement, output="Null", settings=marked)  # its rows_read counts the views' too
                return int(self._engine.execute(f"SELECT count(f1) FROM {records}", output="TSV").body)
        except EngineError as error:
            if is_passing(error):
                _LOGGER.warning("a part of a file could not be inserted at once: %s", error)
            return 0

    def _stage(self, mapping: RowMapping, part: Lines | CsvRows, import_id: str) -> int | None:
        """Stage a part; return how many of its lines are not rows, or None for CSV that has to be rewritten first."""
        settings: Settings = {**ONE_THREAD, **mapping.settings([part.data])}
        if isinstance(part, Lines):
            with self._engine.lines([(import_id, part.data)]) as rows:
                self._engine.execute(mapping.fill(rows), output="Null", settings=settings)
            return part.invalid
        if part.as_arrays:
            with self._engine.lines([(import_id, part.data.rstrip(b"\n"))]) as lines:
                self._engine.execute(mapping.fill(part.from_arrays(lines)), output="Null", settings=settings)
            return 0
        return self._stage_csv(mapping, part, import_id, settings) if part.is_readable else None

    def _stage_csv(self, mapping: RowMapping, part: CsvRows, import_id: str, settings: Settings) -> int | None:
        data, width, delimiter = part.data, part.width, part.layout.delimiter
        try:
            with self._engine.csv(data, width, delimiter) as records:
                statement = mapping.fill(part.exactly(records, import_id))
                self._engine.execute(statement, output="Null", settings=settings)
        except EngineError as error:
            if is_passing(error):
                raise
            self._engine.execute(f"TRUNCATE TABLE {mapping.table}", output="Null")
        else:
            return 0
        try:
            with self._engine.csv(data, width, delimiter, any_number=True) as records:
                statement = mapping.fill(part.ragged(records, import_id))
                self._engine.execute(statement, output="Null", settings=settings)
        except EngineError as error:
            if is_passing(error):
                raise
            return None
        body = self._engine.execute(part.misfits(mapping.table), output="JSONCompact").body
        few, many = json.loads(body)["data"][0]
        return None if int(many) else int(few)

    def _insert_staged(self, staged: StagedRows, how: Decisions) -> int:
        """Insert, retrying while errors are temporary, so that a part is never half written."""
        wait, keep = 0.5, partial(how.keep, staged.token)
        while True:
            try:
                known = how.find(staged.token)
                return insert_staged(self._engine, staged, known=known, keep=keep, sever=self._sever).rows
            except Failure as error:
                if not is_passing(error):
                    raise
                _LOGGER.warning("a part of a file could not be inserted: %s; it is tried again", error)
                time.sleep(wait)
                wait = min(2.0, wait * 2)
                how.check()
