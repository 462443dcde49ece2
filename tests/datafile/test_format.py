"""The formatter: cases as text, and what holds for every file that can be read.

A case in `format/*.txt` has `--- before` (with the kind of file as `--- kind` where it is not a pipe) and
`--- after`.
"""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from clickpipe.datafile import DataSourceFile, PipeFile, Statement, format_datafile, parse_datafile
from clickpipe.diagnostics import has_errors
from clickpipe.project import read_folder
from tests.cases import Case, case_parameters, read_cases
from tests.conftest import ROOT
from tests.datafile.fuzz import mutate

FORMAT = Path(__file__).parent / "format"
TEXTS = read_folder(ROOT)[0]
CASES = {
    f"{path.stem}_{number}.{case.get('kind', 'pipe').strip()}": case["before"]
    for path in sorted(FORMAT.glob("*.txt"))
    for number, case in enumerate(list(read_cases(path)))
}
COMMENT = re.compile(r"#[^\n]*|-- [\w' ]+")
QUOTED_OR_COMMENT = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`\n]*`|[ \t]*(?:--|#)[^\n]*", re.DOTALL)


def formatted(file: str, text: str) -> str:
    after, errors = format_datafile(file, text)
    assert errors == []
    assert after is not None
    return after


def meaning(file: str, text: str) -> object:
    """What a file says: its statements, whatever the order of their directives, and columns."""
    tree, diagnostics = parse_datafile(file, text)
    codes = sorted(d.code for d in diagnostics)
    if isinstance(tree, PipeFile):
        return codes, statements(tree.statements), [(n.name.text, statements(n.statements)) for n in tree.nodes]
    columns = []
    if isinstance(tree, DataSourceFile) and tree.columns is not None:
        columns = [
            [uncommented(w.text) if w else None for w in (c.name, c.jsonpath, c.default, c.codec, c.type)]
            for c in tree.columns
        ]
    return codes, statements(s for s in tree.statements if s.directive != "SCHEMA"), columns


def statements(found: Iterable[Statement]) -> list[tuple[str, str, str]]:
    said = [(s.directive, " ".join(w.text for w in s.words), body(s)) for s in found]
    return sorted(said, key=lambda statement: statement[0])


def body(statement: Statement) -> str:
    """A value, or a block's text without its common indentation and the white space around it."""
    text = statement.argument.text
    if statement.block is None:
        return text
    if statement.directive == "INDEXES":
        text = uncommented(text)
    keep = statement.directive in {"SQL", "FORWARD_QUERY", "IMPORT_QUERY"}
    lines = [(line if keep else line.rstrip()) if line.strip() else "" for line in text.rstrip().split("\n")]
    return textwrap.dedent("\n".join(lines)).strip("\n").rstrip()


def uncommented(text: str) -> str:
    return QUOTED_OR_COMMENT.sub(lambda m: m[0] if m[0][0] in "'`" else "", text)


def comments(text: str) -> list[str]:
    return sorted(found.rstrip() for found in COMMENT.findall(text))


def holds(file: str, text: str) -> None:
    """Assert what holds for every file without errors."""
    after = formatted(file, text)
    assert meaning(file, after) == meaning(file, text), text
    assert formatted(file, after) == after, text
    assert comments(after) == comments(text), text
    assert after == "" or (after.endswith("\n") and not after.endswith("\n\n") and after[0] != "\n")


@pytest.mark.parametrize("case", case_parameters(FORMAT))
def test_formatting(case: Case) -> None:
    file = f"f.{case.get('kind', 'pipe').strip()}"
    after = formatted(file, case["before"])
    assert after == case["after"].rstrip("\n") + "\n"
    holds(file, case["before"])


@pytest.mark.parametrize("file", TEXTS)
def test_the_example_project_is_formatted(file: str) -> None:
    assert formatted(file, TEXTS[file]) == TEXTS[file]


@pytest.mark.parametrize("text", ["", "\n\n", "  \n\t\n"])
def test_a_file_with_nothing_stays_empty(text: str) -> None:
    assert formatted("a.pipe", text) == ""


def test_damaged_files_keep_their_meaning_or_are_left_alone() -> None:
    rng = random.Random(5)
    texts = {**TEXTS, **CASES}
    names = sorted(texts)
    done = 0
    for _ in range(2_000):
        file = rng.choice(names)
        text = mutate(texts[file], rng)
        after, errors = format_datafile(file, text)
        assert (after is None) == bool(errors)
        assert has_errors(errors) == bool(errors)
        if after is not None:
            done += 1
            holds(file, text)
    assert done > 300


INDENTS = st.sampled_from(["  ", "    ", "\t", " \t "])
COMMENTS = st.lists(st.sampled_from(["# one", "  # it's two", '#three -- "', "", "\t"]), max_size=2)
TRAILING = st.sampled_from(["", "  ", "  # why", " #"])
SCHEMAS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "{} String",
                "{}   Array( Array(Int8) )  `json:$.x[:][:]`",
                "`{} y`  DEFAULT  now()  `json:$.--x`",
                "{} String DEFAULT 'a --''b'  CODEC( ZSTD(1) )",
                "{} Tuple(\n  a Int8, -- inside\n  b String)",
                "{}\n  -- between\n  Int8 # behind\n",
                "{} String DEFAULT 'two\n   lines'",
            ]
        ),
        st.sampled_from(["\n", " -- above\n", "\n# at column 0\n", "\n  -- it's\n  # both\n", ""]),
        st.sampled_from(["", " ", " -- before the comma\n"]),
    ),
    min_size=1,
    max_size=4,
).map(lambda rows: ",".join(f"{above}  {column.format(f'c{n}')}{end}" for n, (column, above, end) in enumerate(rows)))
SQL = st.sampled_from(
    [
        "SELECT 1",
        "%\n  SELECT {{Int32(n, 1)}} -- last  ",
        "SELECT *  \n\n    FROM events # it's\n   WHERE a = 'x; # y'",
        "SELECT 'two\n lines', 1",
        "SELECT /* two\n lines */ 1",
        "SELECT $t$two\n lines$t$, 'it''s'",
        "WITH\n\tx AS (SELECT 1)\nSELECT * FROM x\n# the end",
    ]
)
PROSE = st.sampled_from(["What it's for", "It isn't\n  much\n\n# a heading\n but it's ours"])
LINES = {
    "datasource": [
        *("ENGINE MergeTree", "engine_ttl at + 1", "SORTING_KEY 'id'", 'ENGINE_PARTITION_KEY ""', "TAGS a, b"),
        *('TOKEN "b" READ', "token a append", "KAFKA_TOPIC x#y", "IMPORT_FORMAT csv", "BACKFILL skip", "VERSION 1"),
        *("SHARED_WITH other", 'INCLUDE "x.incl" "A=1"', "PG_TABLE t", 'kafka_group_id {{ tb_secret("x") }}'),
    ],
    "pipe": ["TOKEN a READ", "tags a", "CACHE 5", "VERSION 1", 'INCLUDE "head.incl"'],
    "node": [
        *(
            "type copy",
            "TARGET_DATASOURCE t",
            "MODE append",
            "ENGINE_TTL x",
            "ENGINE MergeTree",
            "TAGS b",
            "TOKEN b READ",
        ),
        *('COPY_SCHEDULE "0 * * * *"', "DATASOURCE d", 'INCLUDE "more.incl"', "EXPORT_FORMAT csv"),
    ],
}


@st.composite
def blocks(draw: st.DrawFn, directive: str, texts: st.SearchStrategy[str], *, again: bool = True) -> str:
    text, indent = draw(texts), draw(INDENTS)
    if again:
        text = "\n".join(indent + line if line.strip() else line for line in text.split("\n"))
    return f"{directive} >{draw(TRAILING)}\n{text}"


@st.composite
def parts(draw: st.DrawFn, lines: list[str], wanted: list[str]) -> str:
    """Statements in any order, with comments before them and behind them."""
    chosen = draw(st.lists(st.sampled_from(lines), max_size=6, unique=True))
    text = ""
    for statement in draw(st.permutations([*wanted, *(line + draw(TRAILING) for line in chosen)])):
        text += "".join(f"{line}\n" for line in draw(COMMENTS)) + f"{statement}\n"
    return text


@st.composite
def data_sources(draw: st.DrawFn) -> str:
    wanted = [f"schema >{draw(TRAILING)}\n  {draw(SCHEMAS)}"]
    if draw(st.booleans()):
        wanted.append(draw(blocks("DESCRIPTION", PROSE)))
    if draw(st.booleans()):
        wanted.append(draw(blocks("Forward_Query", SQL)))
    if draw(st.booleans()):
        wanted.append(draw(blocks("INDEXES", st.just("a b TYPE minmax -- it's\n  # next\nINDEX c d TYPE set(1)"))))
    return draw(parts(LINES["datasource"], wanted)) + "".join(f"{line}\n" for line in draw(COMMENTS))


@st.composite
def pipes(draw: st.DrawFn) -> str:
    text = draw(parts(LINES["pipe"], [draw(blocks("description", PROSE))] if draw(st.booleans()) else []))
    for name in draw(st.lists(st.sampled_from(["a", "b", "'c'"]), min_size=1, max_size=3, unique=True)):
        wanted = [draw(blocks("sql", SQL))]
        if draw(st.booleans()):
            wanted.append(draw(blocks("DESCRIPTION", PROSE)))
        text += "".join(f"{line}\n" for line in draw(COMMENTS)) + f"node {name}\n"
        text += draw(parts(LINES["node"], wanted))
    return text + "".join(f"{line}\n" for line in draw(COMMENTS))


@settings(max_examples=400)
@given(data_sources())
def test_data_sources_keep_their_meaning_and_comments(text: str) -> None:
    holds("a.datasource", text)


@settings(max_examples=400)
@given(pipes())
def test_pipes_keep_their_meaning_and_comments(text: str) -> None:
    holds("a.pipe", text)


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("a.pipe", "NOD a\nSQL >\n    SELECT 1\n", "CP1001"),
        ("a.pipe", "SQL >\n  SELECT 1\nNODE a\n", "CP1002"),
        ("a.datasource", "SCHEMA >\n  a String b\n", "CP1101"),
    ],
)
def test_files_with_errors_are_left_alone(file: str, text: str, code: str) -> None:
    after, errors = format_datafile(file, text)
    assert after is None
    assert errors[0].code == code


def test_what_an_include_brings_is_not_missed() -> None:
    assert formatted("a.pipe", 'include "nodes.incl"\nSQL >\n  SELECT 1\n') == (
        'INCLUDE "nodes.incl"\n\nSQL >\n    SELECT 1\n'
    )


def test_sql_is_formatted_where_asked_but_not_with_templates_or_comments() -> None:
    kept = ("select 2 -- two", "select 2 # two", "select 2 // two", "select /* */ 2", "%\n    select 2", "insert x")
    for sql in (*kept, "select '{{x}}' || {{x}}"):
        text = f"NODE a\nSQL >\n    {sql}\n"
        assert format_datafile("a.pipe", text, str.upper) == (text, [])
    for sql in ("select 1", "with 1 as x select x", "(select 'http://x -- # {{')"):
        text = f"NODE a\nSQL >\n    {sql}\n"
        assert format_datafile("a.pipe", text, str.upper) == (text.replace(sql, sql.upper()), [])


def test_sql_that_cannot_be_formatted_stays_to_its_last_byte() -> None:
    text = "NODE a\nSQL >\n    SELECT 1\n      FROM ((;\n"
    assert format_datafile("a.pipe", text, lambda _: None) == (text, [])
    assert format_datafile("a.pipe", text, lambda sql: sql) == (text, [])
