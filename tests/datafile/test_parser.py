"""The scanner's rules, and what holds for any text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.datafile import DataSourceFile, PipeFile, Statement, parse_datafile
from clickpipe.diagnostics import Span, Word
from clickpipe.project.files import decode
from tests.conftest import ROOT

FILES = {
    path.name: decode(path.read_bytes())
    for folder in ("datasources", "pipes")
    for path in sorted((ROOT / folder).iterdir())
}
# Pieces that mean something to the scanner, the grammar or Python's own ideas of lines and letters.
PIECES = st.one_of(
    st.sampled_from(
        [
            *("SCHEMA >", "SQL >", "NODE a", "TOKEN ", "ENGINE", "TYPE copy", "DESCRIPTION >", "TAGS", "id String"),
            *(
                "Nullable(",
                "DEFAULT",
                "CODEC(",
                "`json:$.a`",
                "`",
                '"',
                "'",
                "#",
                "--",
                ">",
                "(",
                ")",
                "[",
                ",",
                "    ",
            ),
            *("\n", "\r", "\t", "\ufeff", "\x00", "\x0b", "\x85", "\u2028", "\u0131", "ß", "😀"),
        ]
    ),
    st.text(max_size=5),
)


def spans(value: Any) -> Iterator[Span]:
    if isinstance(value, Span):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from spans(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from spans(getattr(value, field.name))


def words(value: Any) -> Iterator[Word]:
    if isinstance(value, Word):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from words(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from words(getattr(value, field.name))


def holds(file: str, text: str) -> None:
    tree, diagnostics = parse_datafile(file, text)
    assert all(0 <= span.start <= span.end <= len(text) for span in spans([tree, diagnostics]))
    assert all(word.text == text[word.span.start : word.span.end] for word in words(tree))
    assert all(d.code and d.message for d in diagnostics)


@given(st.sampled_from(["a.datasource", "a.pipe"]), st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_read_and_every_word_stands_where_it_says(file: str, text: str) -> None:
    holds(file, text)


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_damaged_file_is_read_too(file: str, data: st.DataObject) -> None:
    text = FILES[file]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 20)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    holds(file, text)


@pytest.mark.parametrize("file", sorted(FILES))
def test_the_files_of_the_example_have_nothing_wrong(file: str) -> None:
    assert parse_datafile(file, FILES[file])[1] == []


def shown(statement: Statement) -> str:
    parts = [statement.directive, *(f"<{word}>" for word in statement.words)]
    parts += [f"={statement.value}"] if statement.value else []
    parts += [f">{statement.block}"] if statement.block else []
    return " ".join(parts)


def head(text: str, file: str) -> list[str]:
    tree, diagnostics = parse_datafile(file, text)
    return [*(shown(s) for s in tree.statements), *(d.code for d in diagnostics)]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("ENGINE MergeTree", ["ENGINE =MergeTree"]),
        ("\ufeffENGINE MergeTree\n", ["ENGINE =MergeTree"]),
        ("engine MergeTree\n", ["ENGINE =MergeTree"]),
        ("  \tENGINE   MergeTree  \n", ["ENGINE =MergeTree"]),
        ("SORTING_KEY a", ["ENGINE_SORTING_KEY =a"]),
        ("ENGINE 'MergeTree'", ["ENGINE =MergeTree"]),
        ('ENGINE_SORTING_KEY "a", "b"', ['ENGINE_SORTING_KEY ="a", "b"']),
        ("# ENGINE a\n\n   # more\nENGINE b # why", ["ENGINE =b"]),
        ("ENGINE_TTL a = '#' # why", ["ENGINE_TTL =a = '#'"]),
        ("DESCRIPTION issue #1 # 2", ["DESCRIPTION =issue #1 # 2"]),
        ("DESCRIPTION >\n    # one\n    two\nENGINE a", ["DESCRIPTION >    # one\n    two\n", "ENGINE =a"]),
        ("DESCRIPTION > on the line\n", ["DESCRIPTION > on the line"]),
        ('TOKEN "a b" READ\nTOKEN c append', ["TOKEN <a b> <READ>", "TOKEN <c> <append>"]),
        ('TOKEN "a READ', ["CP1007"]),
        ("TOKEN a", ["CP1003"]),
        ("TOKEN a b c", ["CP1003"]),
        ("ENGINE", ["CP1003"]),
        ("ENGINE a\nENGINE b", ["ENGINE =b", "CP1006"]),
        ("ENGINE >\n    a", ["CP1005"]),
        ("SCHEMA a String", ["CP1004"]),
        ("SCHEMA >\n\n", ["CP1009"]),
        ("ENGIN a\nNODE b", ["CP1001", "CP1001"]),
        ("SCHEMA >\na String,\nengine String\n", ["SCHEMA >a String,\n", "ENGINE =String"]),
        ("SCHEMA >\n    engine String,\n    ttl Int8", ["SCHEMA >    engine String,\n    ttl Int8"]),
    ],
)
def test_a_data_source_is_read_line_by_line(text: str, statements: list[str]) -> None:
    assert head(text, "a.datasource") == statements


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("NODE a\nSQL >\n    SELECT 1\nTYPE endpoint", ["a", "SQL >    SELECT 1\n", "TYPE =endpoint"]),
        ("NODE a\nSQL >\nSELECT 1\nFROM b\n", ["a", "SQL >SELECT 1\nFROM b"]),
        ("NODE a\nSQL >\nSELECT\nmode(x),\ntype.y\n", ["a", "SQL >SELECT\nmode(x),\ntype.y"]),
        ("NODE a\nSQL > SELECT 1\n", ["a", "SQL > SELECT 1"]),
        ("NODE a\nSQL >\n    %\n    SELECT '#' # no\n", ["a", "SQL >    %\n    SELECT '#' # no"]),
        ("NODE a\ntype ENDPOINT", ["a", "TYPE =ENDPOINT"]),
        ("NODE a\nTYPE endpont", ["a", "CP1008"]),
        (
            "NODE a\nSQL >\n    SELECT 1\nSQL >\n    SELECT 2",
            ["a", "SQL >    SELECT 2", "CP1006"],
        ),
    ],
)
def test_a_node_has_the_lines_after_it(text: str, node: list[str]) -> None:
    tree, diagnostics = parse_datafile("a.pipe", text)
    assert isinstance(tree, PipeFile)
    (clause,) = tree.nodes
    assert [clause.name.text, *map(shown, clause.statements), *(d.code for d in diagnostics)] == node


def test_sql_needs_a_node() -> None:
    assert head("SQL >\n    SELECT 1", "a.pipe") == ["CP1002"]


def test_line_ends_are_one_character_once_a_file_is_decoded() -> None:
    text = decode(b"SCHEMA >\r\n    a String,\r    b Int8\r\nENGINE x\r\n")
    assert head(text, "a.datasource") == ["SCHEMA >    a String,\n    b Int8\n", "ENGINE =x"]


def test_only_datafiles_are_parsed() -> None:
    with pytest.raises(ValueError, match="txt"):
        parse_datafile("a.txt", "")


def test_a_column_that_cannot_be_read_does_not_hide_the_others() -> None:
    tree, diagnostics = parse_datafile(
        "a.datasource", "SCHEMA >\n    a String,\n    b Int8 ALIAS 1,\n    c Array(String\n"
    )
    assert isinstance(tree, DataSourceFile)
    assert [c.name.text for c in tree.columns or ()] == ["a"]
    assert [d.code for d in diagnostics] == ["CP1104", "CP1101"]


@pytest.mark.parametrize("clause", ["{}", "Int8 DEFAULT {}", "Int8 CODEC({})", "String DEFAULT concat('((((', {})"])
@pytest.mark.parametrize(("deep", "found"), [(190, 0), (250, 1), (5_000, 1)])
def test_brackets_have_a_depth(clause: str, deep: int, found: int) -> None:
    column = clause.format("Array(" * deep + "Int8" + ")" * deep)
    _, problems = parse_datafile("a.datasource", f"SCHEMA >\n    `a` {column}\n")
    assert [(p.code, p.message) for p in problems] == [("CP1101", "brackets are nested more than 200 deep")] * found
