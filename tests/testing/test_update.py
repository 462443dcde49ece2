"""Answers written into test files: the rest of the file stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from clickpipe.testing import EndpointTest, add_test, read_tests, update_file

FILE = """\
# What the shop's owner asks
- name: first   # the usual
  parameters: a=1
  expected_result: |
    {"n":1}
    {"n":2}

- name: second
  expected_http_status: 400
  expected_result: "An error"
- name: third
  description: nothing expected yet

# the end
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "p.yaml").write_text(FILE)
    return tmp_path


def text(root: Path) -> str:
    return (root / "tests" / "p.yaml").read_text()


def test_in_place(root: Path) -> None:
    update_file(root, "tests/p.yaml", {0: ('{"n":3}\n', 200)})
    assert text(root) == FILE.replace('    {"n":1}\n    {"n":2}\n', '    {"n":3}\n')
    update_file(root, "tests/p.yaml", {1: ('{"n":4}\n', 200)})
    assert text(root).count("\n- name: third") == 1
    update_file(root, "tests/p.yaml", {2: ("It is gone: no 'x'", 404)})
    first, second, third = read_tests(root)
    assert isinstance(first, EndpointTest)
    assert isinstance(second, EndpointTest)
    assert isinstance(third, EndpointTest)
    assert (first.expected, second.expected, second.status) == ('{"n":3}\n', '{"n":4}\n', 200)
    assert (third.expected, third.status, third.description) == ("It is gone: no 'x'", 404, "nothing expected yet")
    assert text(root).startswith("# What the shop's owner asks\n- name: first   # the usual\n")
    assert text(root).endswith("\n# the end\n")


@pytest.mark.parametrize(
    "got", ["", '{"a":"x: #y"}\n', '{"a":"é\\n"}\n{"a":2}\n', "no newline", " leading\n", "tab\t\n"]
)
def test_any_text_is_read_back(root: Path, got: str) -> None:
    for number in range(3):
        update_file(root, "tests/p.yaml", {number: (got, 200)})
    assert [t.expected for t in read_tests(root) if isinstance(t, EndpointTest)] == [got] * 3
    assert len(yaml.safe_load(text(root))) == 3


def test_a_test_is_added(root: Path) -> None:
    for pipe in ("p", "new"):
        made = EndpointTest(pipe, f"tests/{pipe}.yaml", "a: b", "it's", {"a": ["1", "2"]}, '{"n":1}\n')
        add_test(root, made, "a=1&a=2")
        assert list(read_tests(root)).count(made) == 1 if pipe == "p" else made in list(read_tests(root))
    assert text(root).startswith(FILE.rstrip())
