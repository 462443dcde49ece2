"""`clickpipe render`, `explain` and `generate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import ROOT

PIPE = (
    "NODE base\nSQL >\n    %\n    SELECT number FROM numbers(9) WHERE number > {{Int32(least, 1)}}\n\n"
    "NODE out\nSQL >\n    %\n    {{max_threads(2)}}\n    {% if defined(stop) %}{{error('stop it')}}{% end %}\n"
    "    SELECT number FROM base WHERE toString(number) IN {{Array(names, 'String')}}\n\nTYPE endpoint\n"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "top.pipe").write_text(PIPE)
    return tmp_path


def test_render_prints_sql_and_what_is_bound(run: Run, project: Path) -> None:
    found = run("render", "top", "--project", project, "-p", "names=1", "-p", "names=it's", "-p", "leest=3")
    assert found.code == 0
    assert "FROM numbers(9) WHERE number > {least:Int32}" in found.out
    assert "IN {names:Array(String)}" in found.out
    assert "-- names = ['1', \"it's\"]\n-- least = 1\n" in found.out
    assert "-- max_threads = 2" in found.out
    assert "'leest' is not a parameter: did you mean 'least'?" in found.err


def test_render_as_json_and_of_a_node(run: Run, project: Path) -> None:
    found = json.loads(run("render", "top", "--project", project, "--node", "base", "-p", "least=5", "--json").out)
    assert found == {
        "sql": "SELECT number FROM numbers(9) WHERE number > {least:Int32}",
        "params": {"least": 5},
        "settings": {},
    }


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("topp",), "the pipe 'topp' is not in the project: did you mean 'top'?"),
        (("top", "--node", "bse"), "the pipe 'top' has no node 'bse': did you mean 'base'?"),
        (("top",), "Required parameter is not defined. Check the parameters names."),
        (("top", "-p", "stop=1"), "stop it"),
        (("top", "-p", "names=1", "-p", "least=x"), "Error validating 'x' to type Int32"),
    ],
)
def test_mistakes(run: Run, project: Path, args: tuple[str, ...], said: str) -> None:
    found = run("render", "--project", project, *args)
    assert found.code == 1
    assert said in found.err


@pytest.mark.slow
def test_explain_shows_what_the_index_leaves_out(on_server: Run, tmp_path: Path) -> None:
    on_server("init", tmp_path)
    assert on_server("deploy", tmp_path).code == 0
    rows = tmp_path / "fixtures" / "page_views.ndjson"
    assert on_server("datasource", "append", "page_views", rows).code == 0
    found = on_server("explain", "top_pages")
    assert found.code == 0, found.err
    assert "ReadFromMergeTree (page_views)" in found.out
    assert "PrimaryKey" in found.out
    assert json.loads(on_server("explain", "top_pages", "--json").out)["plan"] == found.out.rstrip("\n").split("\n")
    assert "does not exist" in on_server("explain", "nope").err


def test_generate_writes_files(run: Run, tmp_path: Path) -> None:
    for kind, sign in (("openapi", '"openapi": "3.1.0"'), ("typescript", "createClient"), ("python", "class Client")):
        out = tmp_path / kind
        found = run("generate", kind, ROOT, "-o", out)
        assert (found.code, f"wrote {out}" in found.err) == (0, True)
        assert sign in out.read_text()
        assert "get_popular_pages" in run("generate", kind, ROOT).out


def test_generate_stops_at_mistakes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.pipe").write_text("NODE n\nSQL >\n    SELECT nope\nTYPE endpoint\n")
    found = run("generate", "openapi", tmp_path)
    assert found.code == 1
    assert "p.pipe:3:12: error[CP4002]" in found.err
