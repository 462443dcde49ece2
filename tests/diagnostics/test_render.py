"""What people, programs and GitHub read of a finding."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import (
    Diagnostic,
    Related,
    Severity,
    Sources,
    Span,
    as_dict,
    from_dict,
    render_github,
    render_json,
    render_text,
)

TEXT = "SCHEMA >\n\tid\tStrin,\n    name String\n\nENGINE x"
SOURCES = Sources({"a.datasource": TEXT})


def at(words: str, **more: object) -> Diagnostic:
    start = TEXT.index(words)
    return Diagnostic("CP1101", "it is wrong", Span("a.datasource", start, start + len(words)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("diagnostic", "shown"),
    [
        (
            at("name", hint="first\nsecond"),
            """\
            a.datasource:3:5: error[CP1101]: it is wrong
              3 |     name String
                |     ^^^^
              hint: first
                    second""",
        ),
        (
            at("Strin,"),
            """\
            a.datasource:2:5: error[CP1101]: it is wrong
              2 | \tid\tStrin,
                | \t  \t^^^^^^""",
        ),
        (
            at("Strin,\n    name", severity=Severity.WARNING),
            """\
            a.datasource:2:5: warning[CP1101]: it is wrong
              2 | \tid\tStrin,
                | \t  \t^^^^^^""",
        ),
        (
            at("ENGINE", related=(Related("first given here", Span("a.datasource", 0, 6)),)),
            """\
            a.datasource:5:1: error[CP1101]: it is wrong
              5 | ENGINE x
                | ^^^^^^
              note: first given here: a.datasource:1:1""",
        ),
        (
            Diagnostic("CP1101", "it is wrong", Span("a.datasource", len(TEXT), len(TEXT))),
            """\
            a.datasource:5:9: error[CP1101]: it is wrong
              5 | ENGINE x
                |         ^""",
        ),
        (
            Diagnostic("CP2005", "it is gone", Span("b.pipe", 0, 0)),
            "            b.pipe:1:1: error[CP2005]: it is gone",
        ),
    ],
)
def test_the_line_is_shown_with_carets_below_the_place(diagnostic: Diagnostic, shown: str) -> None:
    assert render_text([diagnostic], SOURCES) == "\n".join(line[12:] for line in shown.split("\n"))


def test_findings_stand_apart() -> None:
    assert render_text([at("name"), at("ENGINE")], SOURCES).count("\n\n") == 1


def test_colours_change_nothing_but_colours() -> None:
    colored = render_text([at("name", hint="mend it")], SOURCES, color=True)
    assert "\x1b[31m^^^^\x1b[0m" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == render_text([at("name", hint="mend it")], SOURCES)


PLACES = st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT))).map(
    lambda ends: Span("a.datasource", min(ends), max(ends))
)


@given(
    st.builds(
        Diagnostic,
        st.just("CP1101"),
        st.text(),
        PLACES,
        st.sampled_from(Severity),
        st.text(),
        st.lists(st.builds(Related, st.text(), PLACES), max_size=2).map(tuple),
    )
)
def test_plain_data_holds_all_of_it(diagnostic: Diagnostic) -> None:
    data = as_dict(diagnostic, SOURCES)
    assert from_dict(data, SOURCES) == diagnostic
    assert json.loads(render_json([diagnostic], SOURCES)) == [data]


def test_annotations_for_github_keep_to_one_line_each() -> None:
    tricky = Diagnostic("CP1101", "50% of\r\na:b,c", Span("odd,name:1.pipe", 0, 0), Severity.WARNING, hint="do\nthis")
    assert render_github([tricky, at("name")], SOURCES).splitlines() == [
        "::warning file=odd%2Cname%3A1.pipe,line=1,col=1,endLine=1,endColumn=1,title=CP1101"
        "::50%25 of%0D%0Aa:b,c%0Ado%0Athis",
        "::error file=a.datasource,line=3,col=5,endLine=3,endColumn=9,title=CP1101::it is wrong",
    ]
