"""The process that reads one Parquet file for `parquet.py`. It imports only chdb, to start fast.

Its argument is SQL that names the file as a table. It prints the columns as a line of JSON, reads a SELECT as a line of
JSON, and prints the rows in ClickHouse's Native format, each block preceded by its length (8 bytes, big-endian).
"""

from __future__ import annotations

import json
import sys
from typing import Any


def main(table: str) -> int:
    """Read the file and return the exit code: 1 if it cannot be read, with ClickHouse's reason on stderr."""
    from chdb.session import Session

    session: Any = Session()
    try:
        found = json.loads(session.query(f"DESCRIBE {table}", "JSONCompact").bytes())["data"]
        sys.stdout.write(json.dumps([row[:2] for row in found]) + "\n")
        sys.stdout.flush()
        if asked := sys.stdin.readline():
            with session.send_query(json.loads(asked), "Native") as stream:
                for chunk in stream:
                    data = chunk.bytes()
                    sys.stdout.buffer.write(len(data).to_bytes(8, "big") + data)
            sys.stdout.flush()
    except RuntimeError as error:
        sys.stderr.write(str(error))
        return 1
    finally:
        session.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
