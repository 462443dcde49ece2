from __future__ import annotations

import gzip
import io
import json

import lz4.frame
import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Lines, decompress, lines_of
from clickpipe.ingest.json_file import json_parts, ndjson_parts

LIMIT = 1000
FULL = bytes(range(250)) * 4  # as much as is allowed


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}\n{"a":2}\n', [b'{"a":1}', b'{"a":2}']),
        (b'\xef\xbb\xbf{"a":1}\r\n\r\n  {"a":2}\r\n', [b'{"a":1}', b'{"a":2}']),
        (b'{\n  "a": 1\n}', [b'{"a":1}']),
        (b'{"a":\n1}\n{"a":2}', [b'{"a":1}', b'{"a":2}']),
        (b'{"a":\n1}\n{"a":x}', [b'{"a":', b"1}", b'{"a":x}']),  # if one of several is broken: lines
        (b'[{"a":1},{"a":2}]', [b'{"a":1}', b'{"a":2}']),
        (b'\xef\xbb\xbf\n[ {"a":1},\n {"a":\n2}\n]\n', [b'{"a":1}', b'{"a":2}']),
        (b"[]", []),
        (b"[1, 2]", [b"[1, 2]"]),  # an array of something else is one document, which fits nowhere
        (b'[{"a":1}', [b'{"a":1}']),
        (b'[{"a":1},{"a":x},{"a":3},]', [b'{"a":1}', b'{"a":x}', b'{"a":3}']),
        (b'[{"a":1}{"a":2}\n{"a":3}]', [b'{"a":1}', b'{"a":2}', b'{"a":3}']),
        (b'[{"a":1}},{"a":2]},{"a":3}],{"a":4}]', [b'{"a":1}}', b'{"a":2]}', b'{"a":3}', b'{"a":4}']),
        (b'[{"a":1},{"a":2\n{"a":3}\n', [b'{"a":1}', b'{"a":2', b'{"a":3}']),
        (b'[{"a":1},{"a":"2},{"a":3}]', [b'{"a":1}', b'{"a":"2},{"a":3}]']),
        (b'[{"a":1}]\n{"a":2}\n{"a":3}', [b'{"a":1}', b'{"a":2}', b'{"a":3}']),
        (b'{"a":1},\n{"a":2},\n', [b'{"a":1}', b'{"a":2}']),
        (b'[{"a":1}]\n[{"a":2}]', [b'{"a":1}', b'[{"a":2}]']),
        (b"no json\n\xff\xfe", [b"no json", b"\xff\xfe"]),
        (b"", []),
        (b" \n\n", []),
        (b'\xef\xbb\xbf{\r\n "a": {"b": [1,\r\n 2]}\r\n}\r\n', [b'{"a":{"b":[1,2]}}']),
        (b'{"a":"x\\ny"}\n{"a":"\xc3\xa9"}', [b'{"a":"x\\ny"}', b'{"a":"\xc3\xa9"}']),
        (b'{\n"a": 1}\n{\n"a": 2}', [b'{"a":1}', b'{"a":2}']),
    ],
)
def test_ndjson(body: bytes, lines: list[bytes]) -> None:
    assert lines_of(body) == Lines.of(lines)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a": 1}', [b'{"a": 1}']),
        (b'[{"a":1},\n {"a":\n2}]', [b'{"a":1}', b'{"a":2}']),
        (b"[]", []),
        (b'["x"]', [b'"x"']),
        (b'[{"a":1}', [b'{"a":1}']),
        (b'["a",b,3]', [b'"a"', b"b", b"3"]),
        (b'{"a":1}\n{"a":2}', [b'{"a":1}', b'{"a":2}']),
    ],
)
def test_json(body: bytes, lines: list[bytes]) -> None:
    assert lines_of(body, json=True) == Lines.of(lines)


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers(-(2**53), 2**53), max_size=3), max_size=5))
def test_an_array_gives_its_elements(events: list[dict[str, object]]) -> None:
    for indent in (None, 1):
        found = lines_of(json.dumps(events, indent=indent).encode(), json=True)
        assert [json.loads(line) for line in found.data.split(b"\n") if line] == events


SOUP = st.lists(st.sampled_from([*'{}[],:"\\ \nax1', '{"a":1}', '{"b":[{}]}', '"x,}"']), max_size=25).map("".join)


@given(text=SOUP, begin=st.sampled_from(["", "[", "{", "[{}"]), chunk=st.sampled_from([1, 3, 20, 1000]))
def test_nothing_of_a_broken_body_is_lost(text: str, begin: str, chunk: int) -> None:
    def characters(data: bytes) -> bytes:
        return data.translate(None, b",[] \n")

    body = (begin + text).encode()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("clickpipe.ingest.json_file._CHUNK", chunk)
        monkeypatch.setattr("clickpipe.ingest.json_file._MANY", 1)
        of_files = [list(parts(io.BytesIO(body), 10_000)) for parts in (json_parts, ndjson_parts)]
    for found in ([lines_of(body)], [lines_of(body, json=True)], *of_files):
        assert characters(b"".join(part.data for part in found)) == characters(body)


@given(st.lists(st.sampled_from([b'{"a":1}', b'{"b":[{},{}]}', b"{a}", b"{}}", b'{"a":1]', b"7 7", b"[}"]), min_size=1))
def test_a_broken_element_keeps_no_other_back(elements: list[bytes]) -> None:
    body = b"[" + b",\n".join(elements) + b"]"
    assert lines_of(body, json=True) == Lines.of(elements)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (FULL, ""),
        (FULL, "identity"),
        (gzip.compress(FULL, mtime=0), ""),
        (gzip.compress(FULL, mtime=0), "gzip"),
        (lz4.frame.compress(FULL), "lz4"),
        (lz4.frame.compress(FULL[:400]) + lz4.frame.compress(FULL[400:]), "lz4"),
        (
            gzip.compress(FULL[:400], mtime=0) + gzip.compress(b"", mtime=0) + gzip.compress(FULL[400:], mtime=0),
            "gzip",
        ),  # files joined by `cat`
        (gzip.compress(FULL, mtime=0) + b"\0" * 8, "gzip"),  # padding is no data
    ],
)
def test_the_encoding_is_taken_off(body: bytes, encoding: str) -> None:
    assert decompress(body, encoding, LIMIT) == FULL


def test_nothing_compressed_is_nothing() -> None:
    assert decompress(gzip.compress(b"", mtime=0), "gzip", LIMIT) == b""


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (gzip.compress(b"x" * (LIMIT + 1), mtime=0), "gzip", 413),
        (lz4.frame.compress(b"x" * (LIMIT + 1)), "lz4", 413),
        (lz4.frame.compress(b"hello")[:-5], "lz4", 400),
        (b"hello", "lz4", 400),
        (gzip.compress(b"\0" * 10_000_000, mtime=0), "gzip", 413),
        (gzip.compress(FULL, mtime=0) + gzip.compress(b"x", mtime=0), "gzip", 413),
        (gzip.compress(b"hello", mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b"hello", mtime=0) + gzip.compress(b"hello", mtime=0)[:-1], "gzip", 400),
        (gzip.compress(b"hello", mtime=0) + b"more", "gzip", 400),
        (b"plain text", "gzip", 400),
        (b"", "gzip", 400),
        (b"x", "br", 400),
    ],
)
def test_bodies_that_are_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(ClickpipeError) as error:
        decompress(body, encoding, LIMIT)
    assert error.value.status == status
