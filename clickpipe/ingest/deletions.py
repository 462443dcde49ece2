"""Deletes the rows that match a condition, without holding up the deletions of other workspaces.

ClickHouse deletes in the background (a mutation), on a few threads that all workspaces share, and no limit of a query
reaches these. So nothing there may take long for its own sake: the sub-queries of a condition are run first, as
ordinary statements, and the background reads their results. What is not done in time, or is cancelled, is ended there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import MappingProxyType
from uuid import uuid4

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import WAIT_FOR_DELETION, Engine, EngineError, Settings, tagged, time_limit, working_for
from clickpipe.ingest.tables import DeployedTables
from clickpipe.observe import IngestionLog
from clickpipe.query import shown_error
from clickpipe.sql import count_selects, quote_identifier, read_tree, subqueries

_MOST_KEPT = 50_000_000  # rows of a sub-query
_NOTHING = re.compile(r"\bNothing\b")  # the type of NULL and [], which no table can have
NO_SETTINGS: Settings = MappingProxyType({})


class DeletionUnfinished(ClickpipeError):
    """A deletion ended after it had begun: some of its rows may be deleted, the others are still there."""


class Deleter:
    """Deletions of one workspace."""

    def __init__(
        self,
        engine: Engine,
        tables: DeployedTables,
        recorder: IngestionLog,
        bounds: Settings = NO_SETTINGS,
        *,
        seconds: float = 0.0,
    ) -> None:
        """Delete from `tables`, and record it in `recorder`.

        `bounds` are the limits for evaluating a caller's condition; a deletion may take `seconds` (0: no limit).
        """
        self._engine = engine
        self._tables = tables
        self._recorder = recorder
        self._bounds = bounds
        self._seconds = seconds

    def settled(self, name: str) -> str:
        """Return a data source's table once everything acknowledged so far has been inserted."""
        with self._tables.held(), self._tables.events_paused():
            return self._tables.live().physical.tables[name]

    def delete(self, name: str, condition: str, *, tag: str = "", check: Callable[[], None] = lambda: None) -> int:
        """Delete the rows that match a condition (checked and composed SQL); return how many there were.

        `tag` marks the statements; cancelling it ends them. `check` is called before the deletion begins, and may
        raise. Views of the data source keep what they made of the rows. Raises EngineError or ClickpipeError if nothing
        was deleted, and DeletionUnfinished if something may be.
        """
        began = time.monotonic()
        self.settled(name)
        with self._tables.held(), ExitStack() as kept:  # events go on: new ones may or may not be deleted
            target = self._tables.live().physical.tables[name]
            try:
                plain = self._without_subqueries(target, condition, began, tag, kept)
                rows = self._count(target, plain, self._limits(began, tag))
            except EngineError as error:
                if error.name == "TIMEOUT_EXCEEDED" and self._seconds:
                    raise self._late("nothing was deleted") from error
                raise
            if rows:
                check()
                self._run(name, target, plain, rows, began, tag)
        return rows

    def _limits(self, began: float, tag: str) -> Settings:
        """Return the settings of a statement that has the rest of the time. Raises ClickpipeError if there is none."""
        left = self._seconds - (time.monotonic() - began) if self._seconds else 0.0
        if left < 0:
            raise self._late("nothing was deleted")
        return {**self._bounds, **tagged(tag), **time_limit(left)}

    def _late(self, what: str) -> ClickpipeError:
        message = f"The deletion took more than {self._seconds:g} s (the setting delete_max_seconds): {what}."
        return ClickpipeError(message, status=408, code="deletion_too_slow")

    def _without_subqueries(self, target: str, condition: str, began: float, tag: str, kept: ExitStack) -> str:
        """Return a condition with its sub-queries replaced by tables of their results, which `kept` drops."""
        parts, at, spans = [], 0, list(subqueries(condition))
        for number, (start, end) in enumerate(spans):
            table = f"{target[:-1]}_delete_{uuid4().hex[:8]}_{number}`"
            kept.callback(self._drop, table)
            self._keep(table, condition[start + 1 : end - 1], self._limits(began, tag))
            parts += [condition[at:start], f"(SELECT * FROM {table})"]
            at = end
        plain = "".join([*parts, condition[at:]])
        if count_selects(read_tree(self._engine.syntax_tree(f"SELECT (\n{plain}\n)"))) != 1 + len(spans):
            message = "A sub-query in a condition has to begin with SELECT or WITH, in brackets of its own."
            raise ClickpipeError(message, code="bad_condition")
        return plain

    def _keep(self, table: str, select: str, settings: Settings) -> None:
        columns = ", ".join(
            f"{quote_identifier(f'c{n}')} {_NOTHING.sub('UInt8', column.type)}"
            for n, column in enumerate(self._engine.describe(select))
        )
        self._engine.execute(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY tuple()")
        insert = f"INSERT INTO {table} SELECT * FROM (\n{select}\n) LIMIT {_MOST_KEPT + 1}"
        self._engine.execute(insert, output="Null", settings=settings)
        if self._engine.storage.count(table) > _MOST_KEPT:
            message = f"A sub-query of the condition has more than {_MOST_KEPT:,} rows: nothing was deleted."
            raise ClickpipeError(message, status=413, code="too_many_rows")

    def _drop(self, table: str) -> None:
        with suppress(EngineError), working_for(""):  # what stays is removed by the next deployment
            self._engine.storage.drop([table])

    def _count(self, target: str, condition: str, settings: Settings) -> int:
        sql = f"SELECT count() FROM {target} WHERE (\n{condition}\n)"
        return int(json.loads(self._engine.execute(sql, output="JSONCompact", settings=settings).body)["data"][0][0])

    def _run(self, name: str, target: str, condition: str, rows: int, began: float, tag: str) -> None:
        """Delete rows, and wait until that is done. Raises DeletionUnfinished."""
        settings = {**self._limits(began, tag), **WAIT_FOR_DELETION}
        started, failed = time.monotonic(), ""
        try:
            self._engine.execute(f"ALTER TABLE {target} DELETE WHERE (\n{condition}\n)", settings=settings)
        except EngineError as error:
            with working_for(""):  # whatever its workspace's other statements do
                self._engine.storage.end_deletions(target)
            rest = f"some of the {rows} rows may be deleted, the others are still there. Delete again to remove them"
            late = error.name == "TIMEOUT_EXCEEDED" and self._seconds
            ended = error.name == "QUERY_WAS_CANCELLED"
            message = "The deletion was cancelled" if ended else f"The deletion failed ({shown_error(error)})"
            failed = self._late(rest).message if late else f"{message}: {rest}."
            raise DeletionUnfinished(failed, status=408 if late else 500, code="deletion_unfinished") from error
        finally:
            self._tables.replaced(name)
            seconds = time.monotonic() - started
            self._recorder.operation(self._tables.workspace, name, "delete", seconds=seconds, error=failed, rows=rows)
