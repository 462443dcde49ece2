"""Whatever the decoder is certain of, ClickHouse agrees with."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence

import pytest

from clickpipe.engine import Engine
from clickpipe.ingest.decoder import Decoder, decoder_of
from clickpipe.ingest.mapping import build_mapping
from clickpipe.project import DataSource, load_texts
from tests.ingest.conftest import ONE
from tests.ingest.hostile import TYPES, VALUES, made


def source_of(*columns: str) -> DataSource:
    schema = ",\n    ".join(columns)
    text = f"SCHEMA >\n    {schema}\n\nENGINE_SORTING_KEY tuple()\n"
    return load_texts({"t.datasource": text}).data_sources["t"]


Rows = list[tuple[str, bytes | None]]  # lines that the decoder is certain of, the row of each if it is known


def certain(source: DataSource, lines: Sequence[str]) -> Rows:
    decoder = decoder_of(source)
    found = [(line, decoder.judge(line.encode())) for line in lines] if decoder is not None else []
    return [(line, judged.values) for line, judged in found if judged is not None and judged.rows == 1]


def judge(engine: Engine, source: DataSource, lines: Sequence[str]) -> Rows:
    """Return which lines the decoder is certain of; fail where ClickHouse does not take one, or stores another row."""
    sure = certain(source, lines)
    if not sure:
        return sure
    decoder, columns = (
        decoder_of(source),
        ", ".join(f"`{c.name}` {c.type}" + (f" DEFAULT {c.default.text}" if c.default else "") for c in source.columns),
    )
    assert decoder is not None
    mapping = build_mapping(source, "decoder", "test_decoder.mapped", "q")
    tables = {mapping.table: mapping.create}
    for name in ("test_decoder.mapped", "test_decoder.straight"):
        tables[name] = f"CREATE TABLE {name} (__n Int64 DEFAULT rowNumberInAllBlocks(), {columns}) ENGINE = Memory"
    engine.execute("CREATE DATABASE IF NOT EXISTS test_decoder ENGINE = Memory")
    try:
        for name, create in tables.items():
            engine.execute(f"DROP TABLE IF EXISTS {name}")
            engine.execute(create)
        with engine.lines([(ONE, "\n".join(line for line, _ in sure).encode())]) as rows:
            settings = {**mapping.settings([b"[null]"]), "max_threads": 1}
            engine.execute(mapping.fill(rows), output="Null", settings=settings)
        refused = f"SELECT __line FROM {mapping.table} WHERE NOT __ok"
        assert data(engine, refused) == []
        assert data(engine, f"SELECT count() FROM {mapping.table}") == [[str(len(sure))]]
        exact = [(line, row) for line, row in sure if row is not None]
        if exact:
            wanted = {"lines": [line.strip(" \t") for line, _ in exact]}
            some = f"(SELECT * FROM {mapping.table} WHERE has({{lines:Array(String)}}, __line))"
            engine.execute(mapping.good_of(some), wanted, output="Null", settings={"max_threads": 1})
            engine.insert("test_decoder.straight", columns_of(decoder), b"".join(row for _, row in exact), {})
            shown = "SELECT toString(tuple(* EXCEPT __n)) FROM {} ORDER BY __n"
            mapped, straight = (data(engine, shown.format(f"test_decoder.{n}")) for n in ("mapped", "straight"))
            assert len(mapped) == len(straight) == len(exact)
            pairs = zip(exact, mapped, straight, strict=True)
            assert [(line, a, b) for (line, _), a, b in pairs if a != b] == []
    finally:
        for name in tables:
            engine.execute(f"DROP TABLE IF EXISTS {name}")
    return sure


def columns_of(decoder: Decoder) -> str:
    judged = decoder.judge(b"")
    assert judged is not None
    return judged.columns


def data(engine: Engine, sql: str) -> list[list[str]]:
    found: list[list[str]] = json.loads(engine.execute(sql, output="JSONCompactStrings").body)["data"]
    return found


@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_values(engine: Engine, number: int) -> None:
    values = [*VALUES, *itertools.islice(made(number), 100)]
    judge(engine, source_of(f"v {TYPES[number]} `json:$.v`"), [f'{{"v":{value}}}' for value in values])


def near(rng: random.Random) -> str:
    """A value that many types nearly take."""
    kind = rng.randrange(7)
    if kind == 0:
        moment = (
            f"{rng.choice([1969, 1970, 1971, 1999, 2024, 2025, 2038, 2099, 2100, 2106])}-{rng.randrange(14):02d}-"
            f"{rng.randrange(27, 33):02d}{rng.choice(' T')}{rng.randrange(26):02d}:{rng.choice([0, 59, 60]):02d}:"
            f"{rng.choice([0, 59, 60]):02d}{rng.choice(['', '.5', '.123456789', 'Z', '.123Z', '+01:00'])}"
        )
        return json.dumps(moment[:10] if rng.random() < 0.3 else moment)
    if kind == 1:
        bits = rng.choice([7, 8, 15, 16, 31, 32, 53, 63, 64, 100])
        whole = rng.choice([1, -1]) * (2**bits + rng.randrange(-2, 3))
        return rng.choice([str(whole), f'"{whole}"', f"{whole}.0", f'"{whole}.50"', f"{whole}e1"])
    if kind == 2:
        return json.dumps("".join(rng.choice('aé😀 \\"\n\t\0x') for _ in range(rng.randrange(6))))
    if kind == 3:
        text = "".join(rng.choice("0123456789abcdefABCDEF") for _ in range(32))
        return json.dumps(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}{rng.choice(['', 'a'])}")
    if kind == 4:
        return json.dumps(".".join(str(rng.choice([0, 1, 9, 10, 99, 100, 255, 256])) for _ in range(4)))
    if kind == 5:
        whole, fraction = (rng.randrange(10 ** rng.randrange(1, 20)) for _ in range(2))
        return f"{rng.choice(['', '-'])}{whole}.{fraction}"
    return rng.choice(
        ["null", "true", "false", '"a"', '"b"', "[]", "{}", "-0", "-0.0", "0.0", '"-0"', '"00"', '"1\\n"']
    )


@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_values_that_nearly_fit(engine: Engine, number: int) -> None:
    rng = random.Random(number)
    values = [near(rng) for _ in range(400)]
    values += [f"[{', '.join(near(rng) for _ in range(rng.randrange(4)))}]" for _ in range(50)]
    judge(engine, source_of(f"v {TYPES[number]} `json:$.v`"), [f'{{"v":{value}}}' for value in values])


COLUMNS = (
    "a String `json:$.a`",
    "n Int32 `json:$.o.n`",
    "s Nullable(String) `json:$.o.s`",
    "t DateTime `json:$.t` DEFAULT toDateTime(77)",
    "tags Array(String) `json:$.tags[:]`",
    "deep Nullable(Float64) `json:$.p.q.r`",
    "l LowCardinality(String) `json:$.l` DEFAULT 'x'",
)
KEYS = ("a", "o", "n", "s", "t", "tags", "p", "q", "r", "l", "\\u0061", "x", "", "A", "é", "a\\u0000")


def objects(rng: random.Random, depth: int = 3) -> str:
    pairs = []
    for _ in range(rng.randrange(6)):
        key = rng.choice(KEYS)
        kind = rng.random()
        if depth and kind < 0.3:
            value = objects(rng, depth - 1)
        elif kind < 0.5:
            value = f"[{', '.join(near(rng) for _ in range(rng.randrange(3)))}]"
        else:
            value = near(rng) if kind < 0.8 else rng.choice(VALUES)
        blank = rng.choice(["", "", "", " ", "\t", "\r"])
        pairs.append(f'{blank}"{key}"{blank}:{blank}{value}{blank}')
    return "{" + ",".join(pairs) + "}"


def documents(rng: random.Random, count: int) -> Iterator[str]:
    """Objects with most of the columns' keys, some twice, among others, some with what is no JSON."""
    for _ in range(count):
        parts = [f'"a":{near(rng)}', '"o":' + rng.choice(['{"n":1}', '{"n":2,"s":"x"}', objects(rng)])]
        parts += [f'"t":{near(rng)}'] * rng.randrange(2) + [f'"tags":[{near(rng)}]'] * rng.randrange(2)
        parts += [f'"p":{objects(rng)}'] * rng.randrange(2) + [objects(rng)[1:-1]] * rng.randrange(3)
        rng.shuffle(parts)
        line = "{" + ",".join(part for part in parts if part) + "}"
        if rng.random() < 0.1:
            at = rng.randrange(len(line))
            line = line[:at] + rng.choice(["", "\x01", "\\", '"', ",", "}", "\ufeff", "nul", "\x0c"]) + line[at + 1 :]
        yield rng.choice(["", "", " ", "\t"]) + line + rng.choice(["", "", " ", " \t"])


def test_lines(engine: Engine) -> None:
    lines = list(documents(random.Random(1), 3000))
    assert len(judge(engine, source_of(*COLUMNS), lines)) > len(lines) / 20


FLAT = ("a String `json:$.a`", "b String `json:$.b` DEFAULT 'x'", "n Int32 `json:$.n`", "u Nullable(String) `json:$.u`")
TEXTS = ['"y"', '""', '"a\\":"', '"\\": \\""', '"\\\\"', '"a: b"', '"http://x/?a=\\"b\\":1"', '"\\"\\t:"', "null"]


def flat_lines(rng: random.Random, count: int) -> Iterator[str]:
    """Objects with the columns' keys alone, some twice, with quotes and colons in texts, and white space anywhere."""
    for _ in range(count):
        keys = [*"abnu"[: rng.randrange(2, 5)], *rng.choices("abnu", k=rng.choice([0, 0, 1]))]
        rng.shuffle(keys)
        blank = [rng.choice(["", "", " ", "\t", "\r", " \t"]) for _ in range(4 * len(keys))]
        values = [str(rng.randrange(9)) if key == "n" else rng.choice(TEXTS) for key in keys]
        pairs = zip(blank[0::4], keys, blank[1::4], blank[2::4], values, blank[3::4], strict=True)
        yield "{" + ",".join(f'{a}"{key}"{b}:{c}{value}{d}' for a, key, b, c, value, d in pairs) + "}"


def test_flat_lines(engine: Engine) -> None:
    lines = list(flat_lines(random.Random(2), 3000))
    assert len(judge(engine, source_of(*FLAT), lines)) > len(lines) / 20


@pytest.mark.slow
def test_many_lines(engine: Engine) -> None:
    for seed in range(10):
        judge(engine, source_of(*COLUMNS), list(documents(random.Random(100 + seed), 5000)))


@pytest.mark.parametrize(
    "line",
    [
        '{"a":"x","o":{"n":1}}',
        '{"a":5,"o":{"n":1},"more":{"x":[1,2,{"y":null}]}}',
        ' {"a":"x","o":{"n":"12","s":null},"t":"2026-01-31 12:00:00","tags":["a"],"p":{},"l":"y"}\t',
    ],
)
def test_the_common_lines_are_certain(line: str) -> None:
    decoder = decoder_of(source_of(*COLUMNS))
    assert decoder is not None
    judged = decoder.judge(f"{line}\n \n{line}".encode())
    assert judged is not None
    assert judged.rows == 2


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        '{"a":"x"}',
        '{"a":null,"o":{"n":1}}',
        '{"a":"x","o":{"n":2147483648}}',
        '{"a":"x","o":{"n":1},"more":1e400}',
        '{"a":"x","o":{"n":1}} x',
        '{"a":"\\ud800","o":{"n":1}}',
        '{"a":"x","o":{"n":1},"t":"yesterday"}',
        '{"a":' + "[" * 2000 + "]" * 2000 + ',"o":{"n":1}}',
    ],
)
def test_what_is_not_certain_is_left_to_clickhouse(line: str) -> None:
    decoder = decoder_of(source_of(*COLUMNS))
    assert decoder is not None
    judged = decoder.judge(line.encode())
    assert judged is None or not judged.rows
    assert decoder.judge(b"\xff" + line.encode()) is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":"\xff","o":{"n":1}}',
        b'{"a":"x\xc3","o":{"n":1}}',
        b'{"a":"x","o":{"n":1},"\xff":1}',
        b'{"a":"x","o":{"n":1},"more":"\xed\xa0\x80"}',
        b'{"a":"x","o":{"n":1},"t":"\xf5"}',
    ],
)
def test_bytes_that_are_no_text_are_left_to_clickhouse(line: bytes) -> None:
    decoder = decoder_of(source_of(*COLUMNS))
    assert decoder is not None
    assert decoder.judge(line) is None


@pytest.mark.parametrize(
    "columns",
    [["v String `json:$`"], ["v String `json:$.a`", "w String `json:$.a.b`"], ["v JSON `json:$.v`"]],
)
def test_data_sources_without_a_decoder(columns: list[str]) -> None:
    assert decoder_of(source_of(*columns)) is None
