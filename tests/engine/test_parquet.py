"""Parquet files as rows: in the order of the file, each time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, open_parquet, parquet
from clickpipe.engine.parquet import _reason as reason

ROWS = 300_000
_WRITE = """
import sys
import time
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


@pytest.fixture(scope="module", autouse=True)
def database(engine: Engine) -> Iterator[None]:
    engine.execute("CREATE DATABASE parts ENGINE = Memory")
    yield
    engine.execute("DROP DATABASE parts")


def test_rows_come_in_the_order_of_the_file(groups: Path, engine: Engine) -> None:
    seen = set[tuple[int, ...]]()
    for _ in range(3):  # an import that is cut off goes on where it was: by how many parts it has taken
        engine.execute("CREATE TABLE parts.groups (id UInt64, note String) ENGINE = Memory")
        with open_parquet(groups) as file:
            assert [name for name, _ in file.columns] == ["id", "note"]
            sizes = []
            for block in file.blocks():
                engine.load("parts.groups", "Native", block)
                sizes.append(int(engine.execute("SELECT count() FROM parts.groups", output="TSV").body))
        sql = "SELECT id FROM parts.groups"
        ids = [int(line) for line in engine.execute(sql, output="TSV", settings={"max_threads": 1}).body.split()]
        engine.execute("DROP TABLE parts.groups")
        assert ids == list(range(ROWS))
        seen.add(tuple(sizes))
    assert len(seen) == 1


def test_what_cannot_be_loaded_is_an_error(engine: Engine) -> None:
    engine.execute("CREATE TABLE parts.loaded (id UInt8) ENGINE = Memory")
    for data in (b"nothing of the kind", b"\x01\x01\x02id\x05UInt8"):
        with pytest.raises(EngineError):
            engine.load("parts.loaded", "Native", data)
        assert engine.execute("SELECT count() FROM parts.loaded", output="TSV").body == b"0\n"
    engine.load("parts.loaded", "Native", b"\x01\x01\x02id\x05UInt8\x07")
    assert engine.execute("SELECT id FROM parts.loaded", output="TSV").body == b"7\n"


def test_a_reader_that_is_ended(groups: Path) -> None:
    with open_parquet(groups) as file:
        blocks = file.blocks()
        next(blocks)
        file._process.kill()
        with pytest.raises(ClickpipeError, match="was ended by signal 9"):
            list(blocks)


@pytest.mark.parametrize("kind", ["dictionary", "plain", "delta", "list", "struct", "many columns"])
def test_a_small_file_does_not_take_all_memory(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value is large, and compresses to nothing. ClickHouse decodes the values of a block at once."""
    monkeypatch.setattr(parquet, "_LEAST_MEMORY", 256 << 20)
    monkeypatch.setattr(parquet, "available_memory", lambda: 0)
    value = "x" * (10 << 20)
    column = pa.array([value] * 100)
    columns = {"v": column}
    if kind == "list":
        columns = {"v": pa.array([[value] * 10] * 10)}
    elif kind == "struct":
        columns = {"v": pa.array([{"a": value, "b": {"c": value}}] * 50)}
    elif kind == "many columns":
        columns = {f"v{n}": pa.array([value] * 2) for n in range(60)}
    encoding = {"delta": {"v": "DELTA_BYTE_ARRAY"}}.get(kind)
    path = tmp_path / "file.parquet"
    packed = kind in {"dictionary", "list", "struct", "many columns"}
    pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=packed, column_encoding=encoding)
    assert path.stat().st_size < 4 << 20
    with pytest.raises(ClickpipeError) as caught, open_parquet(path) as file:
        for _ in file.blocks():
            pass
    told = "it takes too much memory. Write it with smaller values, or smaller row groups."
    assert caught.value.message == f"The Parquet file cannot be read: {told}"


def test_what_a_file_holds_is_counted(groups: Path) -> None:
    with open_parquet(groups) as file:
        size = sum(map(len, file.blocks()))
    with open_parquet(groups, limit=size) as file:
        assert sum(map(len, file.blocks())) == size
    with pytest.raises(ClickpipeError) as caught, open_parquet(groups, limit=size - 1) as file:
        list(file.blocks())
    assert (caught.value.status, caught.value.code) == (413, "file_too_large")


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _altered(data: bytes) -> bytes:
    return data[:1_000] + b"\x07" * 3_000 + data[4_000:]


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda _: b"", "the file is empty"),
        (lambda _: b"id,note\n1,a\n", "Not a Parquet file"),
        (_cut, "Not a Parquet file (wrong magic bytes at the end of file)"),
        (_altered, ""),
    ],
)
def test_what_is_wrong_with_a_file(groups: Path, tmp_path: Path, alter: Callable[[bytes], bytes], reason: str) -> None:
    path = tmp_path / "secret_name.parquet"
    path.write_bytes(alter(groups.read_bytes()))
    with pytest.raises(ClickpipeError) as caught, open_parquet(path) as file:
        list(file.blocks())
    told = caught.value.message
    assert reason in told
    assert told.startswith("The Parquet file cannot be read: ")
    words = set(re.findall(r"[\w:]+", told))
    assert not {"secret_name", "manually", "executing", "DB::Exception", "version", "INCORRECT_DATA"} & words, told


def test_a_reason_is_found_in_time_whatever_names_a_file_has() -> None:
    """This runs in the server: a column's name may hold what ClickHouse says around a reason, as often as it likes."""
    began = time.monotonic()
    assert reason("Error:\n" * 300_000)
    assert reason("Error:\n" + "Error:\n" * 300_000 + "no columns\nYou can specify them") != ""
    assert time.monotonic() - began < 20
    told = "Cannot extract table structure. Error:\nno such column\nYou can specify the structure manually"
    assert reason(told) == "no such column"
