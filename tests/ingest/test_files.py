from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path

import pytest
import zstandard

from clickpipe.compiler import CompiledProject
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Dialect, json_file, read_file
from clickpipe.ingest.json_file import ndjson_parts
from clickpipe.ingest.zstd import zstd_reader
from clickpipe.project import DataSource
from tests.conftest import Compile

SCHEMA = "SCHEMA >\n    id String `json:$.key`,\n    n Int32 `json:$.n`,\n    note Nullable(String) `json:$.note`\n"


@pytest.fixture(scope="module")
def source(compile_files: Compile) -> DataSource:
    compiled: CompiledProject = compile_files({"e.datasource": SCHEMA})
    return compiled.data_sources["e"]


def test_lines_of_a_stream_are_cut_at_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_CHUNK", 10)
    sent = [b'{"a":%d}' % n for n in range(50)]
    for text in (b"\n".join(sent), b"\n".join(sent) + b"\n"):
        found = [line for part in ndjson_parts(io.BytesIO(text), 100) for line in part.data.split(b"\n") if line]
        assert found == sent


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_CHUNK", 10)
    with pytest.raises(ClickpipeError, match="longer than 100 bytes"):
        list(ndjson_parts(io.BytesIO(b"x" * 1000), 100))


DATA = b'{"key":"a","n":1}\n' * 1000
FRAME = zstandard.compress(DATA)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", DATA),
        ("gzip", gzip.compress(DATA[:900], mtime=0) + gzip.compress(DATA[900:], mtime=0)),
        ("zstd", FRAME),
        ("zstd", zstandard.compress(DATA[:900]) + zstandard.compress(DATA[900:])),
        ("", gzip.compress(DATA, mtime=0)),
        ("identity", FRAME),
    ],
)
def test_compressed_files_are_read_to_their_end(source: DataSource, tmp_path: Path, encoding: str, body: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(body)
    with read_file(path, "ndjson", source, Dialect(), encoding) as rows:
        assert b"\n".join(part.data for part in rows.parts).strip() == DATA.strip()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(DATA, mtime=0)[:-5]),
        ("gzip", DATA),
        ("zstd", FRAME[:-5]),
        ("zstd", DATA),
        ("br", DATA),
        ("", gzip.compress(DATA, mtime=0)[:-5]),
        ("", bz2.compress(DATA)),
        ("", lzma.compress(DATA)),
        ("", b"PK\3\4..."),
        ("", b"PAR1\x15\4"),
    ],
)
def test_broken_files_are_refused(source: DataSource, tmp_path: Path, encoding: str, body: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(body)
    with pytest.raises(ClickpipeError) as error, read_file(path, "ndjson", source, Dialect(), encoding) as rows:
        list(rows.parts)
    assert error.value.status == 400


def test_a_bomb_comes_in_small_parts() -> None:
    bomb = zstandard.compress(b"\0" * (1 << 30))
    assert len(bomb) < 1 << 17
    assert len(zstd_reader(io.BytesIO(bomb)).read(1000)) == 1000


@pytest.mark.parametrize("name", ["no.parquet"])
def test_a_parquet_file_that_is_none(source: DataSource, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"no")
    with (
        pytest.raises(ClickpipeError, match="The Parquet file cannot be read"),
        read_file(path, "parquet", source, Dialect()) as rows,
    ):
        list(rows.parts)
