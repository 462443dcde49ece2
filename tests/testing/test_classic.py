"""Tests of Classic projects: data quality, commands with their output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.testing import CommandTest, QualityTest, SkippedTest, read_tests
from tests.conftest import RunPython

DATASOURCE = """\
SCHEMA >
    day Date,
    hits Int32

ENGINE MergeTree
ENGINE_SORTING_KEY day
ENGINE_TTL day + INTERVAL 1 DAY
"""
PIPE = """\
NODE n
SQL >
    %
    SELECT day, hits FROM visits WHERE day >= {{Date(since, '2000-01-01')}} ORDER BY day
TYPE endpoint
"""
QUALITY = """\
- no-negative-hits:
    max_bytes_read: null
    max_time: null
    sql: |
      SELECT * FROM visits
      WHERE hits < 0
- few-hits:
    sql: SELECT * FROM days WHERE hits > 2
- broken:
    sql: SELECT nothing FROM visits
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "datasources/visits.datasource": DATASOURCE,
        "datasources/fixtures/visits.csv": "2023-01-01,1\n2023-01-02,2\n2023-01-03,3\n",
        "pipes/days.pipe": PIPE,
        "tests/default.yaml": QUALITY,
        "tests/regression.yaml": "- pipe: '.*'\n  tests:\n    - coverage:\n",
        "tests/since.test": "tb pipe data days --since 2023-01-02 --format CSV\n",
        "tests/since.test.result": '"day","hits"\n"2023-01-02",2\n"2023-01-03",3\n',
        "tests/sum.test": 'tb sql "SELECT sum(hits) AS s FROM visits" --format CSV',
        "tests/sum.test.result": '"s"\n7\n',
        "tests/shell.test": "curl https://example.com | wc -l",
        "tests/shell.test.result": "1\n",
        "tests/none.test": "tb pipe data days --format CSV",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_is_read(root: Path) -> None:
    found = {t.name: t for t in read_tests(root)}
    assert isinstance(found["no-negative-hits"], QualityTest)
    assert found["no-negative-hits"].pipe == "default"
    since = found["since"]
    assert isinstance(since, CommandTest)
    assert (since.endpoint, since.parameters, since.pipe) == ("days", {"since": "2023-01-02"}, "days")
    assert isinstance(found["sum"], CommandTest)
    skipped = {name: t.reason for name, t in found.items() if isinstance(t, SkippedTest)}
    assert skipped.keys() == {"regression of .*", "shell", "none"}
    assert "`tb sql … --format CSV` of .test files are run" in skipped["shell"]
    assert "cannot be read" in skipped["none"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "- a:\n    sqll: SELECT 1\n",
            "tests/default.yaml: test 1 (a): 'sqll' is not a key of a test: did you mean 'sql'?",
        ),
        ("- a:\n    sql: ''\n", "tests/default.yaml: test 1 (a) needs `sql`"),
    ],
)
def test_a_broken_check(root: Path, text: str, message: str) -> None:
    (root / "tests/default.yaml").write_text(text)
    with pytest.raises(ClickpipeError) as error:
        list(read_tests(root))
    assert message in str(error.value)


RUN = """
    import json, sys
    from pathlib import Path
    from clickpipe.testing import run_tests
    found = {o.test.name: [o.problem, o.skipped] for o in run_tests(Path(sys.argv[1]))}
    print(json.dumps(found))
"""


def test_they_run(root: Path, run_python: RunPython) -> None:
    """Rows that are older than their TTL are there too."""
    found = json.loads(run_python(RUN, root).stdout)
    assert found["no-negative-hits"] == found["since"] == ["", False]
    assert found["few-hits"] == ['it must return nothing, but returns\n{"day":"2023-01-03","hits":3}', False]
    assert "nothing" in found["broken"][0]
    assert found["sum"][0].splitlines()[-2:] == ['-{"s": 7}', '+{"s": 6}']
    assert [name for name, (_, skipped) in found.items() if skipped] == ["none", "regression of .*", "shell"]
