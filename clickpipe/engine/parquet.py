"""Reads Parquet files with ClickHouse in a separate process: ours may not read files, and must not crash."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from clickpipe.config import available_memory
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import parquet_reader
from clickpipe.engine.protocol import EngineError
from clickpipe.sql import quote_identifier, quote_literal

# An interrupted import resumes by the number of rows taken, so rows must come in the same order every time.
BLOCK_ROWS = 100_000  # at most, per block
_IN_ORDER = "input_format_parquet_preserve_order = 1, max_threads = 1"
_IN_ORDER += f", input_format_parquet_max_block_size = {BLOCK_ROWS}"
# How ClickHouse frames the reason in its message about a file whose columns it cannot read.
_BEFORE, _BEHIND = "Error:\n", "\nYou can specify"
_AROUND = re.compile(r": \(in file/uri|: While executing|: read stage:| \(version |\.? \([A-Z_]+\)")
_LENGTH = 8  # bytes before a block
# A small file can stand for huge values, which ClickHouse decodes before it cuts blocks.
_LEAST_MEMORY, _MOST_MEMORY = 1 << 30, 4 << 30
_TOO_MUCH = "emory limit exceeded"


class ParquetFile:
    """An open file: its columns (names and ClickHouse types), and its rows, which can be read once, in order."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, types: Mapping[str, str], limit: int) -> None:
        """Read the columns; `limit` is how many bytes of rows there may be (0: any).

        Raises ClickpipeError if it is not a Parquet file.
        """
        assert process.stdout is not None and process.stdin is not None  # noqa: S101, PT018 - they are pipes
        self._process, self._path, self._types, self._limit = process, path, types, limit
        self._out, self._in = process.stdout, process.stdin
        told = self._out.readline()
        if not told:
            self._end()
        own: list[tuple[str, str]] = json.loads(told)
        self.columns = [(name, types.get(name, type_)) for name, type_ in own]

    def blocks(self) -> Iterator[bytes]:
        """Yield the rows in blocks in ClickHouse's Native format, `BLOCK_ROWS` rows and some MB at most.

        Raises ClickpipeError: 400 if the file cannot be read to its end, 413 if it holds too much.
        """
        structure = ", ".join(f"{quote_identifier(name)} {type_}" for name, type_ in self.columns)
        sql = f"SELECT * FROM {_table(self._path, structure if self._types else '')} SETTINGS {_IN_ORDER}, {_memory()}"
        self._in.write(json.dumps(sql).encode() + b"\n")
        self._in.close()
        read = 0
        while length := self._out.read(_LENGTH):
            size = int.from_bytes(length, "big")
            read += size
            if self._limit and read > self._limit:
                message = f"The file is larger than {self._limit} bytes when decompressed: see import_max_bytes."
                raise ClickpipeError(message, status=413, code="file_too_large")
            block = self._out.read(size)
            if len(block) < size:
                break
            yield block
        self._end()

    def _end(self) -> None:
        told = self._process.stderr.read() if self._process.stderr is not None else b""
        if code := self._process.wait():
            reason = (
                _reason(told.decode(errors="replace")) if code > 0 else f"what reads it was ended by signal {-code}"
            )
            hint = "Was it written, and sent, to its end?"
            if _TOO_MUCH in reason:
                reason, hint = "it takes too much memory", "Write it with smaller values, or smaller row groups."
            message = f"The Parquet file cannot be read: {reason}. {hint}"
            raise ClickpipeError(message, code="unreadable_file")


def _reason(told: str) -> str:
    """Return ClickHouse's reason for refusing a file, without the file's name and our query."""
    _, _, behind = told.partition(_BEFORE)  # column names may repeat these marks: one regex for both could be slow
    inner, end, _ = behind.partition(_BEHIND)
    message = EngineError(inner.strip() if end else told).message
    return _AROUND.split(message, maxsplit=1)[0].strip().rstrip(".:")


@contextmanager
def open_parquet(path: Path, types: Mapping[str, str] | None = None, limit: int = 0) -> Iterator[ParquetFile]:
    """Open a Parquet file, with at most `limit` bytes of rows (0: any). Raises ClickpipeError if it is not one.

    `types` gives ClickHouse types, by column, that Parquet lacks; without it such columns come as plain bytes.
    """
    command = [sys.executable, "-P", parquet_reader.__file__, f"{_table(path)} SETTINGS {_memory()}"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - this Python, a file of ours, and an argument
        command, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield ParquetFile(process, path, types or {}, limit)
    finally:
        process.kill()
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        with process:
            pass


def _memory() -> str:
    return f"max_memory_usage = {min(max(available_memory() // 4, _LEAST_MEMORY), _MOST_MEMORY)}"


def _table(path: Path, structure: str = "") -> str:
    more = f", {quote_literal(structure)}" if structure else ""
    return f"file({quote_literal(str(path))}, 'Parquet'{more})"


def parquet_columns(path: Path) -> list[tuple[str, str]]:
    """Return the names and ClickHouse types of a file's columns. Raises ClickpipeError."""
    with open_parquet(path) as file:
        return file.columns
