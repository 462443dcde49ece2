"""Offsets and positions, and the order of findings."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import Diagnostic, Severity, Sources, Span, did_you_mean, has_errors, sort_diagnostics
from clickpipe.diagnostics.model import Position, SourceText

TEXTS = st.text(st.sampled_from("ab\n\r\té😀\u2028"), max_size=40)


@pytest.mark.parametrize(
    ("text", "offset", "line", "column"),
    [
        ("", 0, 1, 1),
        ("ab", 1, 1, 2),
        ("ab", 2, 1, 3),
        ("a\nb", 1, 1, 2),
        ("a\nb", 2, 2, 1),
        ("a\n", 2, 2, 1),
        ("😀é x", 3, 1, 4),
        ("a\u2028b", 2, 1, 3),
        ("ab", 99, 1, 3),
        ("ab", -1, 1, 1),
    ],
)
def test_lines_and_columns_count_characters_from_one(text: str, offset: int, line: int, column: int) -> None:
    assert SourceText(text).position(offset) == Position(line, column)


@given(TEXTS, st.data())
def test_offset_and_position_are_inverse(text: str, data: st.DataObject) -> None:
    source = SourceText(text)
    offset = data.draw(st.integers(0, len(text)))
    at = source.position(offset)
    assert source.offset(at.line, at.column) == offset


@given(TEXTS, st.integers(-5, 50), st.integers(-5, 50))
def test_any_line_and_column_is_a_place_in_the_text(text: str, line: int, column: int) -> None:
    assert 0 <= SourceText(text).offset(line, column) <= len(text)


@given(TEXTS)
def test_the_lines_are_those_of_the_text(text: str) -> None:
    source = SourceText(text)
    lines = text.split("\n")
    assert [source.line(n + 1) for n in range(len(lines))] == [line.rstrip("\r") for line in lines]
    assert source.line(0) == source.line(len(lines) + 1) == ""


def test_a_part_of_a_span_is_relative_to_its_start() -> None:
    assert Span("a", 10, 20).sub(2, 5) == Span("a", 12, 15)


def test_a_file_that_is_not_known_is_empty() -> None:
    assert Sources().position(Span("nowhere", 7, 9)) == Position(1, 1)


def test_findings_come_once_and_in_order_of_file_and_place() -> None:
    late, early, other = (Diagnostic("CP1001", "x", Span(file, at, at)) for file, at in (("a", 9), ("a", 1), ("b", 0)))
    assert sort_diagnostics([other, late, early, late]) == [early, late, other]


def test_only_errors_stop_a_build() -> None:
    error = Diagnostic("CP1001", "x", Span("a", 0, 1))
    warning = Diagnostic("CP1001", "x", Span("a", 0, 1), Severity.WARNING)
    assert has_errors([warning, error])
    assert not has_errors([warning])


@pytest.mark.parametrize(
    ("word", "hint"),
    [("Engin", "did you mean 'ENGINE'?"), ("schema", "did you mean 'SCHEMA'?"), ("zzz", "")],
)
def test_the_nearest_known_word_is_suggested_in_any_letter_case(word: str, hint: str) -> None:
    assert did_you_mean(word, ["ENGINE", "SCHEMA"]) == hint
