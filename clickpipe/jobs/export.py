"""Writes a query's rows to local files: each row to the file that its values, or its number, name."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import IN_ORDER, Engine, ResultColumn, insert_of_select, parquet_codec, tagged
from clickpipe.jobs.report import Report
from clickpipe.project import FileNames, JobId, NameColumn, SinkFiles, Spread, name_problem
from clickpipe.query import FORMATS
from clickpipe.sql import quote_identifier, quote_literal
from clickpipe.template import BoundSQL

EXPORTS = "clickpipe_exports"  # the database of all tables of rows that are exported
_NAME = "__clickpipe_file"  # the column with the name of a row's file
_MOST_FILES = 1_000
_WHOLE = 1 << 20
_CODECS = {"gz": "gzip"}


class Export:
    """The rows of one run in a table, and the names of the files that they go to, each with its number of rows."""

    def __init__(self, engine: Engine, table: str, columns: Sequence[ResultColumn], files: dict[str, int]) -> None:
        """Read from `table`."""
        self.files = files
        self._engine, self._table = engine, table
        self._columns = ", ".join(quote_identifier(column.name) for column in columns)

    def write(self, name: str, into: Path, files: SinkFiles, report: Report) -> None:
        """Write the rows of one file, with its format and compression. Raises EngineError, JobCancelled, JobStopped."""
        codec = _CODECS.get(files.compression, files.compression)
        packed = codec == "gzip" and files.format != "parquet"
        tag = uuid.uuid4().hex
        settings = {**tagged(tag), **IN_ORDER, **(parquet_codec(codec) if files.format == "parquet" else {})}
        sql = f"SELECT {self._columns} FROM {self._table} WHERE {_NAME} = {{file:String}}"
        output = FORMATS[files.format].clickhouse
        with report.stoppable(lambda: self._engine.cancel(tag)), into.open("wb") as plain:
            found = self._engine.stream(sql, {"file": name}, output=output, settings=settings, whole=_WHOLE).result()
            with gzip.GzipFile("", "wb", 6, plain, mtime=0) if packed else plain as file:
                file.write(found.body)
                while found.more is not None and (part := found.more.take()):
                    file.write(part)


@contextmanager
def export(
    engine: Engine, bound: BoundSQL, owner: str, pipe: str, names: FileNames, report: Report
) -> Iterator[Export]:
    """Run a query once, and yield its rows; they are gone after the block.

    `owner` and `pipe` name the table. Raises ClickpipeError 400 for names that cannot be made, EngineError,
    JobCancelled and JobStopped.
    """
    columns = engine.describe(bound.text, bound.params)
    expression = _name(names, columns, report.job_id)
    engine.storage.create_database(EXPORTS)
    physical = quote_identifier(f"{owner}_{pipe}_{uuid.uuid4().hex[:12]}")
    table, tag = f"{quote_identifier(EXPORTS)}.{physical}", uuid.uuid4().hex
    engine.storage.create_plain(table, [*columns, ResultColumn(_NAME, "String")])
    try:
        listed = ", ".join(quote_identifier(name) for name in (*(column.name for column in columns), _NAME))
        rows = f"SELECT *, {expression} FROM (\n{bound.text}\n)"
        with report.stoppable(lambda: engine.cancel(tag)):
            settings = {**bound.settings, **tagged(tag)}
            engine.execute(insert_of_select(table, listed, rows, settings), bound.params)
        yield Export(engine, table, columns, _files(engine, table))
    finally:
        engine.storage.drop([table])


def drop_exports(engine: Engine, owners: Collection[str]) -> None:
    """Drop what a stop left of these owners' exports. Raises EngineError."""
    left = [name for name in engine.storage.tables(EXPORTS) if name.partition("_")[0] in owners]
    engine.storage.drop(f"{quote_identifier(EXPORTS)}.{quote_identifier(name)}" for name in left)


def _name(names: FileNames, columns: Sequence[ResultColumn], job_id: str) -> str:
    """Return the expression of a row's file name, without folder and ending. Raises ClickpipeError 400.

    Names are asked for as JSON, and given back to find their rows: so bytes that are no UTF-8 have no place in them.
    """
    known = {column.name: column.type for column in columns}
    parts = []
    for part in names.parts:
        if isinstance(part, str):
            parts.append(quote_literal(part))
        elif isinstance(part, Spread):
            parts.append(f"toString(rowNumberInAllBlocks() % {part.files})")
        elif isinstance(part, JobId):
            parts.append(quote_literal(job_id))
        else:
            parts.append(_value(part, known))
    return f"toValidUTF8(concat('', {', '.join(parts)}))"


def _value(part: NameColumn, known: dict[str, str]) -> str:
    if problem := name_problem(part, known):
        raise ClickpipeError(f"{problem}.", code="bad_sink")
    column = quote_identifier(part.name)
    if not part.format:
        return f"ifNull(toString({column}), '')"
    return f"ifNull(formatDateTime({column}, {quote_literal(part.format)}), '')"


def _files(engine: Engine, table: str) -> dict[str, int]:
    """Return the names of the files, without folder and ending, and their rows. Raises ClickpipeError 400."""
    sql = f"SELECT {_NAME}, count() FROM {table} GROUP BY 1 ORDER BY 1 LIMIT {_MOST_FILES + 1}"
    found = {name: int(rows) for name, rows in json.loads(engine.execute(sql, output="JSONCompact").body)["data"]}
    if len(found) > _MOST_FILES:
        message = f"EXPORT_FILE_TEMPLATE makes more than {_MOST_FILES} files in one run: use columns with fewer values."
        raise ClickpipeError(message, code="too_many_files")
    return found
