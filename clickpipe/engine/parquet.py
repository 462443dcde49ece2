"""Parquet files as JSON lines, read by ClickHouse in a process of its own: this one's engine may read no files.

`python -m clickpipe.engine.parquet FILE` prints the rows, with `--columns` names and types as a JSON array.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine.protocol import EngineError
from clickpipe.sql import quote_identifier, quote_literal

# Numbers that JSON's readers could cut go as texts; whole ones they read as they are.
_SETTINGS = (
    "output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 1, "
    "output_format_json_quote_denormals = 1, date_time_output_format = 'iso', "
    "output_format_json_named_tuples_as_objects = 1, output_format_json_validate_utf8 = 1"
)


@contextmanager
def parquet_rows(path: Path, types: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """Give a stream of a file's rows, a JSON object each. Raises ClickpipeError when it ends, if it was not whole.

    `types` are ClickHouse types of columns that Parquet has no type for: without them they are what holds their bytes.
    """
    command = [sys.executable, "-m", "clickpipe.engine.parquet", "--types", json.dumps(dict(types or {})), str(path)]
    process = subprocess.Popen(  # noqa: S603 - this Python, and a path that is an argument
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield process.stdout
        process.stdout.read()  # what was not asked for
        told = process.stderr.read() if process.stderr is not None else b""
        if process.wait():
            raise _unreadable(told)
    finally:
        process.kill()
        with process:
            pass


def parquet_columns(path: Path) -> list[tuple[str, str]]:
    """Return the names and ClickHouse types of a file's columns. Raises ClickpipeError."""
    command = [sys.executable, "-m", "clickpipe.engine.parquet", "--columns", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - as above
    if done.returncode:
        raise _unreadable(done.stderr)
    return [(name, type_) for name, type_ in json.loads(done.stdout)]


def _unreadable(told: bytes) -> ClickpipeError:
    reason = told.decode(errors="replace").strip().split("\n")[-1]
    return ClickpipeError(f"The Parquet file cannot be read: {reason}", code="unreadable_file")


def _main(arguments: list[str]) -> int:
    from chdb.session import Session

    source = f"file({quote_literal(arguments[-1])}, 'Parquet')"
    session: Any = Session()
    try:
        found = json.loads(session.query(f"DESCRIBE {source}", "JSONCompact").bytes())["data"]
        if "--columns" in arguments:
            sys.stdout.write(json.dumps([row[:2] for row in found]))
            return 0
        if wanted := json.loads(arguments[arguments.index("--types") + 1]):
            structure = ", ".join(f"{quote_identifier(name)} {wanted.get(name, type_)}" for name, type_, *_ in found)
            source = f"{source[:-1]}, {quote_literal(structure)})"
        with session.send_query(f"SELECT * FROM {source} SETTINGS {_SETTINGS}", "JSONEachRow") as stream:
            for chunk in stream:
                sys.stdout.buffer.write(chunk.bytes())
        sys.stdout.flush()
    except RuntimeError as error:
        sys.stderr.write(EngineError(str(error)).message.replace(arguments[-1], "the file"))
        return 1
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
