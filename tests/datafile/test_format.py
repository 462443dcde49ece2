"""The formatter: cases as text, and what holds for every file that can be read.

A case in `format/*.txt` has `--- before` (with the kind of file as `--- kind` where it is not a pipe) and
`--- after`.
"""

from __future__ import annotations

import random
import re
import textwrap
from pathlib import Path

import pytest

from clickpipe.datafile import DataSourceFile, PipeFile, format_datafile, parse_datafile
from clickpipe.datafile.scanner import scan
from clickpipe.datafile.syntax import Kind
from clickpipe.diagnostics import has_errors
from clickpipe.project import read_folder
from tests.cases import Case, case_parameters
from tests.conftest import ROOT
from tests.datafile.fuzz import mutate

TEXTS = read_folder(ROOT)[0]
HASH = re.compile(r"#[^\n]*")


def formatted(file: str, text: str) -> str:
    after, errors = format_datafile(file, text)
    assert errors == []
    assert after is not None
    return after


def meaning(file: str, text: str) -> object:
    """What a file says: its statements, whatever their order in their group, and columns."""
    tree, diagnostics = parse_datafile(file, text)
    codes = sorted(d.code for d in diagnostics)
    if isinstance(tree, PipeFile):
        nodes = [(n.name.text, statements(n.statements)) for n in tree.nodes]
        return codes, statements(tree.statements), nodes
    columns = []
    if isinstance(tree, DataSourceFile) and tree.columns is not None:
        columns = [
            [w.text if w else None for w in (c.name, c.jsonpath, c.default, c.codec, c.type)] for c in tree.columns
        ]
    return codes, statements(s for s in tree.statements if s.directive != "SCHEMA"), columns


def statements(found: object) -> list[tuple[str, str, str]]:
    return sorted(
        (s.directive, " ".join(w.text for w in s.words), body(s.argument.text))
        for s in found  # type: ignore[attr-defined]
    )


def body(text: str) -> str:
    lines = [line.rstrip() for line in text.strip("\n").rstrip().split("\n")]
    return textwrap.dedent("\n".join(lines)).strip("\n").strip()


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "format"))
def test_formatting(case: Case) -> None:
    file = f"f.{case.get('kind', 'pipe').strip()}"
    after = formatted(file, case["before"])
    assert after == case["after"].rstrip("\n") + "\n"
    assert formatted(file, after) == after


@pytest.mark.parametrize("file", TEXTS)
def test_the_example_project_is_formatted(file: str) -> None:
    assert formatted(file, TEXTS[file]) == TEXTS[file]


def test_formatting_keeps_the_meaning_and_is_done_after_one_time() -> None:
    rng = random.Random(5)
    names = sorted(TEXTS)
    done = 0
    for _ in range(1_500):
        file = rng.choice(names)
        text = mutate(TEXTS[file], rng)
        after, errors = format_datafile(file, text)
        assert (after is None) == bool(errors)
        if after is None or has_errors(parse_datafile(file, text)[1]):
            continue
        done += 1
        assert meaning(file, after) == meaning(file, text), text
        assert formatted(file, after) == after, text
    assert done > 300


def test_every_comment_stays() -> None:
    rng = random.Random(6)
    for file, text in TEXTS.items():
        kind = Kind(file.rsplit(".", 1)[-1])
        ends = [0, *(s.keyword.span.start for s in scan(file, text, kind)[0]), len(text)]
        for at in sorted(rng.sample(ends, min(3, len(ends))), reverse=True):
            text = text[:at] + f"# comment {at}\n" + text[at:]  # noqa: PLW2901 - built up
        after = formatted(file, text)
        assert sorted(HASH.findall(after)) == sorted(HASH.findall(text))


def test_files_with_errors_are_left_alone() -> None:
    after, errors = format_datafile("a.pipe", "NOD a\nSQL >\n    SELECT 1\n")
    assert after is None
    assert errors[0].code == "CP1001"


def test_sql_is_formatted_where_asked_but_not_with_templates_or_comments() -> None:
    text = "NODE a\nSQL >\n    select 1\n\nNODE b\nSQL >\n    select 2 -- two\n\nNODE c\nSQL >\n    %\n    select 3\n"
    after, _ = format_datafile("a.pipe", text, str.upper)
    assert after == text.replace("select 1", "SELECT 1")
