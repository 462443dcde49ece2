"""Blocks that are split by a pattern give what the grammar gives."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from clickpipe.datafile.plain import plain_columns, plain_type
from clickpipe.datafile.schema import by_grammar, read_type
from clickpipe.diagnostics import Span, Word

TYPES = [
    *("String", "Nullable(DateTime64(3, 'UTC'))", "Array(String)", "Enum8('a' = 1, 'b' = 2)", "Decimal(10, 2)"),
    *("AggregateFunction(count)", "Tuple(a Int32, b String)", "Default", "codec", "LowCardinality(Nullable(String))"),
]
MORE = [
    "",
    " `json:$.a[:]`",
    " DEFAULT 5",
    " default now()",
    " DEFAULT 'x, y'",
    " CODEC(ZSTD(1))",
    " DEFAULT 1 + 1",
    " -- c",
]
COLUMN = st.tuples(
    st.sampled_from(["a", "b c", "`d`", "e.f", "default", "x1"]),
    st.sampled_from([*TYPES, ""]),
    st.sampled_from(MORE),
    st.sampled_from(MORE),
).map(lambda parts: f"{parts[0]} {parts[1]}{parts[2]}{parts[3]}")
BLOCK = st.tuples(st.lists(COLUMN, min_size=1, max_size=4), st.sampled_from([",\n    ", ", ", "\n"])).map(
    lambda parts: "    " + parts[1].join(parts[0])
)


def word(text: str) -> Word:
    return Word(text, Span("f", 11, 11 + len(text)))


@given(BLOCK, st.sampled_from(["", "\n", ",\n", "\n\n"]))
def test_what_is_split_is_what_the_grammar_reads(block: str, end: str) -> None:
    columns = plain_columns(word(block + end), read_type)
    if columns is not None:
        assert columns == by_grammar(word(block + end))


@pytest.mark.parametrize("more", ["", " `json:$.a`", " DEFAULT now()", " `json:$.a` DEFAULT 'x'"])
@pytest.mark.parametrize("type_", ["String", "Nullable(DateTime64(3, 'UTC'))", "Array(LowCardinality(String))"])
def test_plain_columns_do_not_need_the_grammar(type_: str, more: str) -> None:
    block = word(f"    a {type_}{more},\n    b Int32\n")
    assert plain_columns(block, read_type) == by_grammar(block)


NAMES = ["String", "Int8", "UInt256", "DateTime", "Dat", "Date32", "IPv4", "x", "default", "null", ""]
SIZED = [
    "DateTime64(3)",
    "DateTime('UTC')",
    "DateTime64(3, 'Europe/Madrid')",
    "FixedString(2)",
    "Decimal(10,2)",
    "Int(1)",
]
NESTED = st.recursive(
    st.sampled_from(NAMES + SIZED),
    lambda inner: st.tuples(
        st.sampled_from(["Nullable", "Array", "Map", "LowCardinality", "Tuple", "DateTime"]),
        st.lists(inner, max_size=3),
        st.sampled_from([", ", ",", " , "]),
    ).map(lambda parts: f"{parts[0]}({parts[2].join(parts[1])})"),
    max_leaves=5,
)


@given(NESTED, st.sampled_from(["", " ", ")", "("]))
def test_a_plain_type_is_what_the_grammar_reads(type_: str, end: str) -> None:
    plain = plain_type(type_ + end)
    if plain is not None:
        columns = by_grammar(Word(f"x {type_}{end}", Span("", -2, len(type_ + end))))
        assert isinstance(columns, list)
        assert [c.type for c in columns] == [plain]


def test_common_types_are_plain() -> None:
    plain = plain_type("Map(LowCardinality(String), Array(Nullable(UInt64)))")
    assert plain is not None
    assert (plain.name, len(plain.arguments)) == ("Map", 2)
