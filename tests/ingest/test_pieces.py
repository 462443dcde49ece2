"""Tiny rows are inserted some at a time, each once and in order."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.ingest import Dialect, csv_rows, pieces
from clickpipe.ingest.body import Lines
from clickpipe.ingest.csv_rows import csv_parts
from clickpipe.ingest.json_file import json_parts, ndjson_parts
from clickpipe.runtime import Workspace


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MOST_ROWS", 10)
    monkeypatch.setattr("clickpipe.ingest.json_file.MOST_ROWS", 10)
    monkeypatch.setattr("clickpipe.ingest.json_file._MANY", 3)


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 21, 57])
def test_lines_are_cut_and_none_is_lost(count: int) -> None:
    lines = [b'{"n":%d}' % number for number in range(count)]
    for found in (
        list(pieces.pieces(Lines.of(lines))),
        list(ndjson_parts(io.BytesIO(b"\n".join(lines)), 1_000)),
        list(json_parts(io.BytesIO(b"[" + b",".join(lines) + b"]"), 1_000)),
    ):
        assert [line for part in found for line in part.data.split(b"\n") if line] == lines
        assert all(part.data.count(b"\n") < 10 for part in found)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    documents=st.lists(st.dictionaries(st.text(), VALUES, max_size=3) | VALUES, max_size=25),
    chunk=st.integers(1, 40),
    wide=st.booleans(),
)
def test_elements_of_an_array_come_whole_wherever_it_is_cut(*, documents: list[Any], chunk: int, wide: bool) -> None:
    text = json.dumps(documents, ensure_ascii=not wide, indent=1 if wide else None)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("clickpipe.ingest.json_file._CHUNK", chunk)
        found = b"\n".join(part.data for part in json_parts(io.BytesIO(text.encode()), 1_000_000))
    assert [json.loads(line) for line in found.split(b"\n") if line] == documents


@pytest.mark.parametrize("chunk", [1, 7, 60, 1_000])
@pytest.mark.parametrize(
    "bad", [b"{bad}", b'{"a":"},{"}', b"[{},{}]", b'{"a":1,}', b"\xff", b"NaN", b"\n1 2", b'{"a":"\xff"}']
)
def test_elements_that_are_no_json_are_cut_like_others(monkeypatch: pytest.MonkeyPatch, bad: bytes, chunk: int) -> None:
    monkeypatch.setattr("clickpipe.ingest.json_file._CHUNK", chunk)
    good = [b'{"n":%d,"o":[{"x":[]},{}]}' % n for n in range(9)]
    documents, after = [*good, bad, *good, bad], [b"{}", b"x", b"{}"]
    found = b"\n".join(
        part.data for part in json_parts(io.BytesIO(b"[" + b" ,\n".join(documents) + b"]" + b"\n".join(after)), 1_000)
    )
    assert found.split(b"\n") == [document.strip() for document in [*documents, *after]]


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("chunk", [40, 1_000])
def test_records_are_cut_behind_whole_ones(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, quoted: bool, chunk: int
) -> None:
    monkeypatch.setattr(csv_rows, "_CHUNK", chunk)
    workspace.deploy({"e.datasource": "SCHEMA >\n    a Int32,\n    b String\n"})
    source = workspace.queries.live().compiled.data_sources["e"]
    records = [b'%d,"x\n%d"\n' % (number, number) if quoted else b"%d,x\n" % number for number in range(57)]
    _, parts = csv_parts(io.BytesIO(b"".join(records)), source, Dialect())
    found = [part.data for part in parts]
    assert b"".join(found) == b"".join(records)
    assert all(part.count(b'"') % 2 == 0 for part in found)
    assert all(part.count(b"\n") <= 10 for part in found)
