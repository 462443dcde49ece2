"""Tokens, as ClickHouse's own lexer has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import Kind, tokens


def shown(sql: str) -> list[tuple[str, str]]:
    return [(token.kind.value, token.value) for token in tokens(sql)]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("a.b", [("word", "a"), ("mark", "."), ("word", "b")]),
        ("'a''b\\'c\\n'", [("text", "a'b'c\n")]),
        ('`a``b\\`c` "d""e" “f‘g”', [("quoted", "a`b`c"), ("quoted", 'd"e'), ("quoted", "f‘g")]),
        ("‘a''b’", [("text", "a''b")]),
        ("$$a'b$$ $t$ $$ $t$ $a", [("text", "a'b"), ("text", " $$ "), ("word", "$a")]),
        ("1 -- 2\n3 # 4\n5 #! 6\n7", [("number", "1"), ("number", "3"), ("number", "5"), ("number", "7")]),
        ("1 /* 2 /* 3 */ 4 */ 5", [("number", "1"), ("number", "5")]),
        ("1 /* 2", [("number", "1")]),
        ("'a", [("mark", "'a")]),
        ("1a 0x1F 1_000 1e5 .5 a.1", [("word", "1a"), *(("number", n) for n in ("0x1F", "1_000", "1e5", ".5")), ("word", "a"), ("mark", "."), ("number", "1")]),
        ("a\u00a0\u2003b", [("word", "a"), ("word", "b")]),
        ("a->b::c||d", [("word", "a"), ("mark", "->"), ("word", "b"), ("mark", "::"), ("word", "c"), ("mark", "||"), ("word", "d")]),
    ],
)  # fmt: skip
def test_tokens(sql: str, found: list[tuple[str, str]]) -> None:
    assert shown(sql) == found


TEXTS = st.text(st.sampled_from(list("ab'\\`\"\n$-#/*xn0é😀 ’‘”“")), max_size=12)


@given(written=TEXTS)
def test_texts_are_read_as_clickhouse_reads_them(written: str, engine: Engine) -> None:
    """A text that ClickHouse takes for one literal is one token, with the same value."""
    for sql in (f"'{written}'", f"‘{written}’", f"$h${written}$h$"):
        try:
            tree = json.loads(engine.syntax_tree(f"SELECT {sql}, 1"))
        except EngineError:
            continue
        select = tree["list_of_selects"]["children"][0]["select"]["children"]
        if len(select) == 2 and select[0]["type"] == "Literal" and "alias" not in select[0]:
            found = list(tokens(f"SELECT {sql}, 1"))
            assert [t.kind for t in found[1:4]] == [Kind.TEXT, Kind.MARK, Kind.NUMBER]
            value = select[0]["value"]["value"]
            assert found[1].value == value or "\\" in written  # escapes that ClickHouse keeps as they are


@pytest.mark.parametrize(
    "piece", ["'", "''", "\\'", "/*", "*/", "$", "$$", "`", '"', "“", "‘", " ", "--", "# ", "1", "1.", "1e", "a", "0x", "\\", "{"]
)  # fmt: skip
def test_reading_takes_time_that_grows_with_the_text_only(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    assert sum(token.end - token.start for token in tokens(text)) <= len(text)
