"""Rows of files into a data source: appended, or in place of what it holds."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest.body import Lines
from clickpipe.ingest.import_lines import LinesWriter
from clickpipe.ingest.mapping import build_mapping
from clickpipe.observe import IngestionLog
from clickpipe.project import DataSource

_SHOWN_BLOCKS = 100  # in a job's reply

Pause = Callable[[], AbstractContextManager[None]]
Report = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class ImportCounts:
    """What an import has written: rows, rows in quarantine, bytes; and each part of it, as the block log has them."""

    import_id: str
    rows: int = 0
    quarantined: int = 0
    size: int = 0
    parts: int = 0
    blocks: list[dict[str, Any]] = field(default_factory=list)
    invalid: int = 0  # lines among the quarantined that are no rows at all

    def as_dict(self) -> dict[str, Any]:
        """Return it as a job's result."""
        return {
            "import_id": self.import_id,
            "rows": self.rows,
            "quarantine_rows": self.quarantined,
            "bytes": self.size,
            "parts": self.parts,
            "blocks": self.blocks[-_SHOWN_BLOCKS:],
            "invalid_lines": self.invalid,
        }

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what a job's result, as `as_dict` gave it, tells; nothing for none."""
        blocks = list(told.get("blocks", []))
        import_id = told.get("import_id") or str(uuid.uuid4())
        rows, bad, size, parts = (int(told.get(name, 0)) for name in ("rows", "quarantine_rows", "bytes", "parts"))
        return cls(import_id, rows, bad, size, parts, blocks, int(told.get("invalid_lines", 0)))


class Importer:
    """Imports of one workspace. `live` is asked anew for each part: a deployment may come between two."""

    def __init__(
        self,
        engine: Engine,
        owner: str,
        live: Callable[[], Live],
        hold: Pause,
        pause: Pause,
        told: IngestionLog,
        replaced: Callable[[str], None] = lambda _: None,
        relieve: Callable[[EngineError], bool] = lambda _: False,
    ) -> None:
        """Write through `engine`; `hold` keeps deployments away, `pause` events; `told` is told of all of it.

        `replaced` is told of data sources whose rows were replaced or deleted; `relieve` is asked when an insert
        fails: see `Writer`.
        """
        self._lines = LinesWriter(engine, relieve)
        self._replaced = replaced
        self._told = told
        self._engine = engine
        self._owner = owner
        self._live = live
        self._hold = hold
        self._pause = pause

    def append(
        self,
        name: str,
        parts: Iterable[Lines],
        *,
        named: bool,
        report: Report,
        before: Mapping[str, Any] | None = None,
    ) -> ImportCounts:
        """Append rows; `named` are objects by the columns' names (CSV), else jsonpaths tell.

        What was written stays when a later part cannot be read: `report` is told after each part. Given what it was
        told `before` a stop, it goes on with the part behind. Rows that a view or the table refuses go to quarantine.
        Raises ClickpipeError and EngineError.
        """
        counts = ImportCounts.of(before or {})
        if not counts.parts:
            report(counts.as_dict())
        done = counts.parts
        with self._telling(name, "append", counts):
            for number, lines in enumerate(parts):
                if number < done:
                    continue
                with self._hold():
                    live = self._live()
                    source = _source(live, name)
                    target = live.physical.tables[name]
                    self._write(live, source, target, lines, counts, number, report, named=named)
                report(counts.as_dict())
        return counts

    @contextmanager
    def _telling(self, name: str, event_type: str, counts: ImportCounts) -> Iterator[None]:
        """Tell of what is done within, when it has ended or failed."""
        started, failed = time.monotonic(), ""
        try:
            yield
        except BaseException as error:
            failed = str(error)
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
            self._told.operation(
                self._owner, name, event_type, seconds=time.monotonic() - started, error=failed, **told
            )
            for block in counts.blocks[-_SHOWN_BLOCKS:]:
                self._told.block(self._owner, name, block, counts.import_id, event_type)

    def replace(
        self,
        name: str,
        parts: Iterable[Lines],
        *,
        named: bool,
        report: Report,
        condition: str = "",
        before: Mapping[str, Any] | None = None,
    ) -> ImportCounts:
        """Put rows in place of all there are, or of those that meet a condition (SQL that was checked, composed).

        Readers see the rows before or the rows after. After a stop, `before` is what was told: no row is in quarantine
        twice then. Raises ClickpipeError 400 when a new row does not meet the
        condition.
        """
        counts = ImportCounts.of({"import_id": (before or {}).get("import_id")})
        report(counts.as_dict())
        with self._hold(), self._telling(name, "replace", counts):
            live = self._live()
            source, target = _source(live, name), live.physical.tables[name]
            self._replace(live, source, target, parts, counts, named=named, report=report, condition=condition)
        return counts

    def _replace(
        self,
        live: Live,
        source: DataSource,
        target: str,
        parts: Iterable[Lines],
        counts: ImportCounts,
        *,
        named: bool,
        report: Report,
        condition: str,
    ) -> None:
        with self._beside(target, counts.import_id) as beside:
            for number, lines in enumerate(parts):
                self._write(live, source, beside, lines, counts, number, report, named=named, views=False)
                report(counts.as_dict())
            with self._pause():
                if condition:
                    self._keep(target, beside, condition)
                self._engine.execute(f"EXCHANGE TABLES {target} AND {beside}")
                self._replaced(source.name)

    @contextmanager
    def _beside(self, target: str, import_id: str) -> Iterator[str]:
        """Give an empty table like the target, gone at the end."""
        beside = f"{target[:-1]}_import_{import_id[:8]}`"
        self._engine.execute(f"CREATE TABLE {beside} AS {target}")
        try:
            yield beside
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {beside}")

    def _keep(self, target: str, beside: str, condition: str) -> None:
        """Take over the rows that do not meet the condition. Raises ClickpipeError when new rows do not."""
        sql = f"SELECT countIf(NOT ifNull((\n{condition}\n), 0)) FROM {beside}"
        others = int(json.loads(self._engine.execute(sql, output="JSONCompact").body)["data"][0][0])
        if others:
            message = f"{others} of the new rows do not meet the replace_condition: nothing was replaced."
            raise ClickpipeError(message, code="condition_not_met")
        kept = f"INSERT INTO {beside} SELECT * FROM {target} WHERE NOT ifNull((\n{condition}\n), 0)"
        self._engine.execute(kept, output="Null")

    def _write(
        self,
        live: Live,
        source: DataSource,
        target: str,
        lines: Lines,
        counts: ImportCounts,
        number: int,
        report: Report,
        *,
        named: bool,
        views: bool = True,
    ) -> None:

        def check() -> None:
            report(counts.as_dict())

        token = f"{self._owner}/{source.name}/import/{counts.import_id}/{number}"
        started = time.monotonic()
        quarantine = live.physical.tables[f"{source.name}_quarantine"]
        own = f"import_{counts.import_id}"
        mapping = build_mapping(_by_name(source) if named else source, own, target, quarantine, quoted=named)
        good, bad = self._lines.insert(live, source.name, mapping, counts.import_id, lines, token, check, views=views)
        counts.parts = number + 1
        if not good + bad:
            return
        counts.rows += good
        counts.quarantined += bad
        counts.size += len(lines.data)
        counts.invalid += lines.invalid
        lines_of_it = {"lines": good + bad, "quarantine": bad, "bytes": len(lines.data)}
        seconds = round(time.monotonic() - started, 3)
        counts.blocks.append({"block_id": token, "process_return": [lines_of_it], "processing_time": seconds})

    def delete(self, name: str, condition: str, *, dry_run: bool, tag: str = "") -> int:
        """Delete the rows that meet a condition (SQL that was checked, composed); return how many they are.

        `tag` marks its statements: one who cancels them wants to wait no longer; what was begun is done behind. Views
        behind the data source keep what they made of them. Raises EngineError.
        """
        with self._hold(), self._pause():
            target = self._live().physical.tables[name]
            sql = f"SELECT count() FROM {target} WHERE (\n{condition}\n)"
            marked: Settings = {"log_comment": tag}
            rows = int(json.loads(self._engine.execute(sql, output="JSONCompact", settings=marked).body)["data"][0][0])
            if rows and not dry_run:
                started = time.monotonic()
                statement = f"ALTER TABLE {target} DELETE WHERE (\n{condition}\n)"
                self._engine.execute(statement, settings={**marked, "mutations_sync": 1})
                self._replaced(name)
                self._told.operation(self._owner, name, "delete", seconds=time.monotonic() - started, rows=rows)
        return rows

    def truncate(self, name: str) -> None:
        """Remove all rows of a data source or a quarantine. What was acknowledged before is written, and removed."""
        with self._hold(), self._pause():
            started = time.monotonic()
            self._engine.execute(f"TRUNCATE TABLE {self._live().physical.tables[name]}")
            self._replaced(name)
            self._told.operation(self._owner, name, "truncate", seconds=time.monotonic() - started)


def _source(live: Live, name: str) -> DataSource:
    source = live.compiled.data_sources.get(name)
    if source is None:
        message = f'Data Source "{name}" does not exist'
        raise ClickpipeError(message, status=404, code="not_found")
    return source


def _by_name(source: DataSource) -> DataSource:
    """Return the data source with columns that take the keys of their names."""
    return replace(source, columns=tuple(replace(c, jsonpath=None) for c in source.columns))
