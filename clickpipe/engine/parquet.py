"""Parquet files, read by ClickHouse in a process of its own: this one's engine may read no files, and is not to fall.

`python -m clickpipe.engine.parquet FILE` prints the columns as a line of JSON, and waits for a line that says how it is
to print the rows: `rows` as JSON lines, `blocks` in ClickHouse's Native format, each block behind its length.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine.protocol import EngineError
from clickpipe.sql import quote_identifier, quote_literal

# An import that is cut off goes on by how many rows it has taken: they have to come in the same order again.
BLOCK_ROWS = 100_000  # most rows of a block
_IN_ORDER = "input_format_parquet_preserve_order = 1, max_threads = 1"
_IN_ORDER += f", input_format_parquet_max_block_size = {BLOCK_ROWS}"
_LENGTH = 8  # bytes before a block


class ParquetFile:
    """An open file: names and ClickHouse types of its columns, and its rows in their order, once."""

    def __init__(self, process: subprocess.Popen[bytes], types: Mapping[str, str]) -> None:
        """Begin to read. Raises ClickpipeError for what is no Parquet file."""
        assert process.stdout is not None and process.stdin is not None  # noqa: S101, PT018 - they are pipes
        self._process = process
        self._out, self._in = process.stdout, process.stdin
        told = self._out.readline()
        if not told:
            self._end()
        own: list[tuple[str, str]] = json.loads(told)
        self.columns = [(name, types.get(name, type_)) for name, type_ in own]

    def blocks(self) -> Iterator[bytes]:
        """Yield the rows in the Native format, a block of `BLOCK_ROWS` at most and some MB at a time.

        Raises ClickpipeError when the file cannot be read further.
        """
        self._in.write(b"go on\n")
        self._in.close()
        while len(length := self._out.read(_LENGTH)) == _LENGTH:
            yield self._out.read(int.from_bytes(length, "big"))
        self._end()

    def _end(self) -> None:
        told = self._process.stderr.read() if self._process.stderr is not None else b""
        if self._process.wait():
            reason = told.decode(errors="replace").strip().split("\n")[-1]
            message = f"The Parquet file cannot be read: {reason}"
            raise ClickpipeError(message, code="unreadable_file")


@contextmanager
def open_parquet(path: Path, types: Mapping[str, str] | None = None) -> Iterator[ParquetFile]:
    """Give a file. Raises ClickpipeError where it is none.

    `types` are ClickHouse types of columns that Parquet has no type for: without them they are what holds their bytes.
    """
    command = [sys.executable, "-P", "-m", "clickpipe.engine.parquet", json.dumps(dict(types or {})), str(path)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - this Python, and a path that is an argument
        command, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield ParquetFile(process, types or {})
    finally:
        process.kill()
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        with process:
            pass


def parquet_columns(path: Path) -> list[tuple[str, str]]:
    """Return the names and ClickHouse types of a file's columns. Raises ClickpipeError."""
    with open_parquet(path) as file:
        return file.columns


def _main(types: str, path: str) -> int:
    from chdb.session import Session

    source = f"file({quote_literal(path)}, 'Parquet')"
    session: Any = Session()
    try:
        found = json.loads(session.query(f"DESCRIBE {source}", "JSONCompact").bytes())["data"]
        sys.stdout.write(json.dumps([row[:2] for row in found]) + "\n")
        sys.stdout.flush()
        if not sys.stdin.readline():
            return 0  # the columns were all that was asked for
        if wanted := json.loads(types):
            structure = ", ".join(f"{quote_identifier(name)} {wanted.get(name, type_)}" for name, type_, *_ in found)
            source = f"{source[:-1]}, {quote_literal(structure)})"
        with session.send_query(f"SELECT * FROM {source} SETTINGS {_IN_ORDER}", "Native") as stream:
            for chunk in stream:
                data = chunk.bytes()
                sys.stdout.buffer.write(len(data).to_bytes(_LENGTH, "big") + data)
        sys.stdout.flush()
    except RuntimeError as error:
        sys.stderr.write(EngineError(str(error)).message.replace(path, "the file"))
        return 1
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
