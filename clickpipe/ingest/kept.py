"""Keeps rows, and what views make of them, in memory until all of it is written.

A view that may decide differently about the same rows (`uncertain.py`) is asked only once: rows that it accepts before
the table has them might be refused after. So rows first go into copies of the table and of every target, in memory,
connected by the same views. The contents of these are then written, each table separately and without its views, which
have done their part. `dump` and `restore` let them outlive the process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from clickpipe.catalog import Live
from clickpipe.engine import ONE_BLOCK, Engine, EngineError, Settings, once, views_may_fail, without_views
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.lacking import tell_of_lack
from clickpipe.ingest.log_file import Record
from clickpipe.ingest.mapping import IN_ONE_BLOCK
from clickpipe.ingest.narrow import TRIES, Refused, narrow
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.writes import execute_patiently, patiently, retarget

_LOGGER = logging.getLogger(__name__)
MOST_BYTES = 256 << 20  # of rows to store: more would take too much memory


class Kept:
    """A copy of one data source's table, and of everything that views make of its rows, in memory."""

    def __init__(self, engine: Engine, live: Live, data_source: str, owner: str) -> None:
        """Create it for the live deployment of the workspace `owner`. Raises EngineError."""
        self._engine = engine
        self._probe = Probe(engine, live, data_source, f"{owner}_kept", keeps=True)
        self._tables = {name: live.physical.tables[name] for name in self._probe.names}
        self._in_pieces, self._used = False, True  # who stopped before may have left rows in the copies

    def take(self, statement: str, settings: Settings | None = None) -> EngineError | None:
        """Keep the rows of an insert, and nothing else; return the error if they are refused.

        Raises EngineError for a temporary error.
        """
        sql, how = retarget(statement, self._probe.table), {**ONE_BLOCK, **(settings or {})}
        return self._take(lambda: execute_patiently(self._engine, sql, how))

    def take_values(self, columns: str, rows: bytes) -> EngineError | None:
        """Keep rows in the form that `Engine.insert` takes, like `take`."""
        return self._take(lambda: patiently(lambda: self._engine.insert(self._probe.table, columns, rows, {})))

    def _take(self, insert: Callable[[], None]) -> EngineError | None:
        self.clear()
        self._used = True
        try:
            insert()
        except EngineError as error:
            if is_passing(error):
                raise
            return error
        return None

    def gather(
        self,
        piece: Callable[[int, int], str],
        rows: int,
        *,
        again: bool,
        lacking: bool = False,
        settings: Settings | None = None,
    ) -> list[Refused]:
        """Keep these rows except those that are refused on their own; return the refused ones.

        `piece(first, end)` returns the insert of a range of rows. With `again`, all of them were accepted before, so
        none is refused for good; one that is refused every time raises EngineError, or is kept without what the view
        makes of it, with `lacking`. Raises EngineError for a temporary error.
        """
        self._begin_gathered()

        def look(first: int, end: int) -> tuple[str, str] | None:
            error = self.take(piece(first, end), settings)
            if error is not None and again and end - first == 1:
                self._take_again(piece(first, end), lacking=lacking)
            elif error is not None:
                return self.refused_by(error)
            self._put_by()
            return None

        found, _ = narrow(look, rows)
        self.clear()
        self._in_pieces = True
        return found

    def _begin_gathered(self) -> None:
        self.clear()
        for name in self._tables:
            copy = self._probe.copy_of(name)
            self._engine.execute(f"DROP TABLE IF EXISTS {_gathered(copy)}")
            self._engine.execute(f"CREATE TABLE {_gathered(copy)} AS {copy} ENGINE = Memory")

    def dump(self) -> list[Record]:
        """Return everything that is kept: a record for each table; [] if it is too large, or its values have no form.

        Raises EngineError for a temporary error.
        """
        found = []
        sizes = [f"(SELECT sum(byteSize(*)) FROM {self._rows_of(name)})" for name in self._tables]
        try:
            if float(self._engine.execute(f"SELECT {' + '.join(sizes)}", output="TSV").body) > MOST_BYTES:
                return []
            for name, table in self._tables.items():
                rows = f"SELECT * FROM {self._rows_of(name)}{IN_ONE_BLOCK}"
                found.append(Record(table, self._engine.execute(rows, output="Native", settings=ONE_BLOCK).body))
        except EngineError as error:
            if is_passing(error):
                raise
            _LOGGER.warning("what views made of rows cannot be stored, so they would run again after a kill: %s", error)
            return []
        return found

    def restore(self, records: Sequence[Record]) -> bool:
        """Keep what `dump` returned; return False if that is not possible: it is incomplete, or of other tables.

        Raises EngineError for a temporary error.
        """
        if [record.import_id for record in records] != list(self._tables.values()):
            return False
        self._begin_gathered()
        self._in_pieces = True
        try:
            for name, record in zip(self._tables, records, strict=True):
                if record.lines:
                    into = _gathered(self._probe.copy_of(name))
                    patiently(lambda into=into, rows=record.lines: self._engine.load(into, "Native", rows))  # type: ignore[misc]
        except EngineError as error:
            if is_passing(error):
                raise
            _LOGGER.warning("what views made of rows before cannot be read, so they run again: %s", error)
            self.clear()
            return False
        return True

    def _rows_of(self, name: str) -> str:
        """Return the table that has what is kept for a data source."""
        copy = self._probe.copy_of(name)
        return _gathered(copy) if self._in_pieces else copy

    def _take_again(self, piece: str, *, lacking: bool) -> None:
        """Keep a row that was accepted before: see `gather`. Raises EngineError if it is refused every time."""
        for _ in range(TRIES - 1):
            if self.take(piece) is None:
                return
        error = self.take(piece)
        if error is None:
            return
        if not lacking or self.take(piece, views_may_fail()) is not None:
            raise error
        tell_of_lack(self._probe.names[0], [Refused(0, *self.refused_by(error))])

    def _put_by(self) -> None:
        """Add what is kept to the pieces collected before."""
        for name in self._tables:
            copy = self._probe.copy_of(name)
            self._engine.execute(f"INSERT INTO {_gathered(copy)} SELECT * FROM {copy}", output="Null")

    def refused_by(self, error: EngineError) -> tuple[str, str]:
        """Return the resource (a view or the data source) that an error comes from, and the reason."""
        return self._probe.refused_by(error)

    def write(self, token: str) -> None:
        """Write everything that is kept; repeating it with the same token has no effect. Raises EngineError."""
        for number, (name, table) in enumerate(self._tables.items()):
            settings: Settings = {
                **ONE_BLOCK,
                **once(f"{token}/{name}" if number else token),
                **without_views(table),
            }
            rows = f"INSERT INTO {table} SELECT * FROM {self._rows_of(name)}{IN_ONE_BLOCK}"
            execute_patiently(self._engine, rows, settings)
        self.clear()

    def clear(self) -> None:
        """Discard what is kept. Raises EngineError."""
        if self._used:
            for name in self._tables:
                self._engine.execute(f"TRUNCATE TABLE {self._probe.copy_of(name)}", output="Null")
        if self._in_pieces:
            for name in self._tables:
                self._engine.execute(f"DROP TABLE IF EXISTS {_gathered(self._probe.copy_of(name))}")
        self._used = self._in_pieces = False

    def drop(self) -> None:
        """Remove the tables. Raises EngineError."""
        self.clear()
        self._probe.drop()


def _gathered(copy: str) -> str:
    """Return the table that collects the rows of several pieces for a copy."""
    return f"{copy[:-1]}_gathered`"
