"""No node that ClickHouse takes as its author wrote it is refused by us: every case, and made-up names and scopes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from clickpipe.engine import EmbeddedEngine, Engine
from clickpipe.project import load_folder
from tests.cases import Case, case_parameters
from tests.compiler.differential import wrongly_refused
from tests.conftest import ROOT, Compile

TABLES = {
    "datasources/t.datasource": "SCHEMA >\n    a Int32,\n    b Int32,\n    tags Array(Int32)\n",
    "datasources/u.datasource": "SCHEMA >\n    a Int32,\n    c Int32\n",
    "pipes/n.pipe": "NODE n\nSQL >\n    SELECT a, b AS w FROM t\nTYPE endpoint\n",
}
NAMES = st.sampled_from(["t", "u", "n", "x", "m"])
TABLE = st.tuples(st.sampled_from(["t", "u", "n", "m"]), st.sampled_from(["", " x", " AS y", " t", " AS u"])).map(
    "".join
)
OPERAND = st.sampled_from(["(1, 2)", "tags", "u", "x", "segs", "(SELECT a FROM u)", "[1]", "m"])
CONDITION = st.tuples(st.sampled_from(["t.a", "u.a", "x.a", "a", "n.a", "y.a"]), OPERAND).map(
    lambda p: f"{p[0]} IN {p[1]}"
)
WITH = st.sampled_from(
    [
        "",
        "WITH [1] AS segs ",
        "WITH m AS (SELECT a FROM t) ",
        "WITH u AS (SELECT a FROM u) ",
        "WITH [1] AS x, m AS (SELECT a FROM t WHERE a IN x) ",
    ]
)
COLUMN = st.sampled_from(["a", "t.a", "x.a", "n.*", "t.*", "y.a AS z", "[1] AS segs", "count()", "u.c"])
SELECT = st.builds(
    "{}SELECT {} FROM {}{} WHERE {}".format,
    WITH,
    st.lists(COLUMN, min_size=1, max_size=2).map(", ".join),
    TABLE,
    st.one_of(st.just(""), TABLE.map(lambda t: f" JOIN {t} ON 1"), TABLE.map(lambda t: f" JOIN {t} USING (a)")),
    CONDITION,
)  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> Iterator[Engine]:
    engine = EmbeddedEngine(workers=1)  # so that USE holds for the next statement
    yield engine
    engine.close()


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "must_compile"))
def test_cases(case: Case, compile_files: Compile, reference: Engine) -> None:
    assert list(wrongly_refused(reference, compile_files(case.files))) == []


def test_the_example_project(compile_files: Compile, reference: Engine) -> None:
    assert list(wrongly_refused(reference, compile_files(load_folder(ROOT).files))) == []


@settings(max_examples=100)
@given(select=SELECT)
def test_names_and_scopes(select: str, compile_files: Compile, reference: Engine) -> None:
    compiled = compile_files({**TABLES, "pipes/p.pipe": f"NODE p\nSQL >\n    {select}\nTYPE endpoint\n"})
    assert list(wrongly_refused(reference, compiled)) == []
