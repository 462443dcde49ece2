"""Parquet files as rows: in the order of the file, each time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clickpipe.engine import open_parquet

ROWS = 300_000
_WRITE = """
import sys
from chdb.session import Session
session = Session()
path, rows = sys.argv[1:]
session.query(f"INSERT INTO FUNCTION file('{path}', 'Parquet') SELECT number AS id, repeat('x', rand() % 90) AS note "
              f"FROM numbers({rows}) SETTINGS output_format_parquet_row_group_size = 3000, max_threads = 1")
"""


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file of a hundred row groups, whose sizes differ."""
    path = tmp_path_factory.mktemp("parquet") / "groups.parquet"
    subprocess.run([sys.executable, "-c", _WRITE, str(path), str(ROWS)], check=True)
    return path


def test_rows_come_in_the_order_of_the_file(groups: Path) -> None:
    for _ in range(3):  # an import that is cut off goes on where it was: by how many rows it has taken
        with open_parquet(groups) as file, file.rows() as stream:
            assert [json.loads(line)["id"] for line in stream] == list(range(ROWS))
