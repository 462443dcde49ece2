from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, load_fixtures
from clickpipe.testing import EndpointTest, read_tests, run_test
from tests.conftest import ROOT

PIPE = """\
NODE endpoint
SQL >
    %
    SELECT number AS n, toFloat64(number) AS x, 'a/b' AS s FROM numbers({{Int32(rows, 2)}}) ORDER BY n
TYPE endpoint
"""


def endpoint_test(expected: str, rows: str = "2", status: int = 200, pipe: str = "p") -> EndpointTest:
    return EndpointTest(pipe, f"tests/{pipe}.yaml", "one", "", {"rows": rows}, expected, status)


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (endpoint_test('{"n":0,"x":0,"s":"a\\/b"}\n{"n":1,"x":1,"s":"a\\/b"}\n'), ""),
        # The same rows, written in another way.
        (endpoint_test('{"n": 0, "x": 0.0, "s": "a/b"}\n{"s": "a/b", "n": 1, "x": 1.0}'), ""),
        (endpoint_test("", rows="0"), ""),
        (endpoint_test("Template Syntax Error: Error validating 'x' to type Int32", rows="x", status=400), ""),
        (endpoint_test('{"n":0,"x":0,"s":"a/b"}'), '+{"n": 1, "x": 1, "s": "a/b"}'),
        (
            endpoint_test('{"n":1,"x":1,"s":"a/b"}\n{"n":0,"x":0,"s":"a/b"}'),
            "but in another order",
        ),  # it is ordered by n
        (endpoint_test("", rows="x"), "expected status 200, got 400"),
        (endpoint_test("", status=400), "expected status 400, got 200"),
        (endpoint_test("another text", rows="x", status=400), "-another text"),
        (endpoint_test("no JSON"), "-no JSON"),
    ],
)
def test_what_passes_and_what_is_said_of_the_rest(instance: Instance, test: EndpointTest, problem: str) -> None:
    workspace = instance.workspaces.create("testing")
    try:
        workspace.deploy({"pipes/p.pipe": PIPE})
        outcome = run_test(workspace, test)
    finally:
        instance.workspaces.delete(workspace)
    assert problem in outcome.problem
    assert bool(problem) == bool(outcome.problem)


def test_a_test_without_its_pipe_is_skipped(instance: Instance) -> None:
    workspace = instance.workspaces.create("testing")
    try:
        workspace.deploy({"pipes/p.pipe": PIPE})
        assert run_test(workspace, endpoint_test("", pipe="q")).skipped
    finally:
        instance.workspaces.delete(workspace)


def test_the_example_projects_tests_pass(instance: Instance) -> None:
    workspace = instance.workspaces.create("testing")
    try:
        texts = {
            p.relative_to(ROOT).as_posix(): p.read_text() for p in [*ROOT.glob("datasources/*"), *ROOT.glob("pipes/*")]
        }
        workspace.deploy(texts)
        (loaded,) = load_fixtures(workspace, ROOT)
        assert (loaded.result.successful_rows, loaded.result.quarantined_rows) == (3000, 10)
        outcomes = [run_test(workspace, t) for t in read_tests(ROOT)]
    finally:
        instance.workspaces.delete(workspace)
    assert {o.test.pipe for o in outcomes} == {p.stem for p in ROOT.glob("pipes/get_*.pipe")}
    assert [(o.test.name, o.problem) for o in outcomes if o.problem] == []


def write(folder: Path, text: str) -> Path:
    (folder / "tests").mkdir()
    (folder / "tests/p.yaml").write_text(text)
    return folder


def test_what_a_file_says(tmp_path: Path) -> None:
    text = """
- name: one
  parameters: http://localhost/v0/pipes/p.json?a=1&b=two words&b=%20x&empty=
  expected_result: |
    {"n":1}
- name: two
  description: the status
  expected_http_status: 404
  expected_result: gone
"""
    one, two = [t for t in read_tests(write(tmp_path, text)) if isinstance(t, EndpointTest)]
    assert (one.pipe, one.file, one.name) == ("p", "tests/p.yaml", "one")
    assert one.parameters == {"a": "1", "b": ["two words", " x"], "empty": ""}
    assert one.expected == '{"n":1}\n'
    assert (two.status, two.expected, two.description) == (404, "gone", "the status")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- name: [", "tests/p.yaml:1:10: the YAML cannot be parsed"),
        ("name: one", "tests/p.yaml: a test file is a list of tests"),
        ("- description: x", "tests/p.yaml: test 1 needs a name"),
        (
            "- name: a\n- name: b\n  parameter: x",
            "test 2: 'parameter' is not a key of a test: did you mean 'parameters'?",
        ),
        ("- name: a\n  expected_http_status: bad", "expected_http_status must be a number, not 'bad'"),
        ("- name: a\n  tolerance: much", "tolerance must be a number from 0 up to 1, such as 0.001, not 'much'"),
    ],
)
def test_a_broken_file_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ClickpipeError) as error:
        list(read_tests(write(tmp_path, text)))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("1\ta\n2\tb\n", ""),
        ("2\tb\n1\ta\n", ""),  # nothing orders them
        ('{"n":1,"s":"a"}\n{"n":2,"s":"b"}\n', ""),
        ("1\ta\n2\tc\n", '+{"1": 2, "2": "b"}'),
    ],
)
def test_a_pipe_that_is_no_endpoint_gives_the_rows_of_its_output(
    instance: Instance, expected: str, problem: str
) -> None:
    workspace = instance.workspaces.create("testing")
    source = "SCHEMA >\n    n Int32 `json:$.n`,\n    s String `json:$.s`\n"
    view = "NODE n\nSQL >\n    %\n    SELECT n, s FROM a\nTYPE materialized\nDATASOURCE b\n"
    try:
        workspace.deploy({"datasources/a.datasource": source, "datasources/b.datasource": source, "pipes/p.pipe": view})
        workspace.ingest("a", [{"n": 1, "s": "a"}, {"n": 2, "s": "b"}])
        outcome = run_test(workspace, EndpointTest("p", "tests/p.yaml", "one", "", {}, expected))
    finally:
        instance.workspaces.delete(workspace)
    assert problem in outcome.problem
    assert bool(problem) == bool(outcome.problem)
