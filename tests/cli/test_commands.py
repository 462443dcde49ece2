"""Commands that need no server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.cli.conftest import Run
from tests.conftest import ROOT, python_environment

BROKEN = """\
NODE endpoint
SQL >
    %
    SELECT numbr FROM numbers({{Int32(rows, 10)}})
TYPE endpoint
"""


def test_help_teaches(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert "clickpipe init shop && cd shop && clickpipe dev" in result.out
    for name in ("init", "check", "dev", "test", "serve", "deploy", "sql", "endpoint", "datasource", "token"):
        assert f"\n  {name} " in result.out
        assert run(name, "--help").out.count("\n") > 4


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, clickpipe.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=python_environment(), capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"chdb", "pandas", "rich", "httpx", "jinja2", "lark", "starlette", "uvicorn", "croniter"}
    assert loaded & heavy == set()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("--version",), 0, "clickpipe 0."),
        (("chek",), 2, "Did you mean 'check'?"),
        (("endpoint", "dta"), 2, "No such command 'dta'"),
        (("check", "/no/such/folder"), 2, "does not exist"),
        (("endpoint", "data", "x", "--param", "limit", "--token", "t"), 2, "'limit' is not NAME=VALUE"),
        (("sql", "SELECT 1", "--token", "t", "--host", "127.0.0.1:1"), 1, "no server answers at http://127.0.0.1:1 "),
        (("sql", "SELECT 1"), 1, "no token for http://127.0.0.1:7181"),
        (
            ("datasource", "append", "x", "http://127.0.0.1/rows.xml", "--token", "t"),
            1,
            "name it with --format (csv, ndjson, json, parquet)",
        ),
        (("datasource", "append", "x", "rows.ndjson", "--token", "t"), 1, "No such file"),
        (("deploy", "--token", "t"), 1, "there are no datafiles"),
    ],
)
def test_mistakes_end_with_a_word_and_a_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*args)
    assert result.code == code
    assert said in result.out + result.err
    assert "Traceback" not in result.err


def test_a_bug_shows_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("wheels came off")

    monkeypatch.setattr("clickpipe.checking.check_folder", broken)
    result = run("check", "--no-cache", ROOT)
    assert result.code == 1
    assert "this is a bug in clickpipe: RuntimeError: wheels came off" in result.err


def test_check_says_what_there_is(run: Run) -> None:
    result = run("check", ROOT)
    assert (result.code, result.out) == (0, "3 data sources, 7 pipes: no errors\n")


def test_check_shows_the_line_and_a_caret(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.pipe").write_text(BROKEN)
    result = run("check", tmp_path)
    assert result.code == 1
    assert (
        "p.pipe:4:12: error[CP4002]: Unknown expression identifier `numbr`\n"
        "  4 |     SELECT numbr FROM numbers({{Int32(rows, 10)}})\n"
        "    |            ^^^^^\n"
        "  hint: did you mean 'number'?\n"
    ) in result.err
    assert result.err.endswith("\n1 error\n")


def test_a_project_is_named_by_folder_or_option(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("check", "--project", ROOT).out == run("check", ROOT).out
    both = run("check", ROOT, "--project", tmp_path)
    assert (both.code, "not both" in both.err) == (2, True)


def test_check_for_programs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.pipe").write_text(BROKEN)
    found = json.loads(run("check", tmp_path, "--json").out)
    assert [(d["file"], d["line"], d["column"], d["code"]) for d in found] == [("p.pipe", 4, 12, "CP4002")]
    github = run("check", tmp_path, "--format", "github")
    assert github.code == 1
    assert github.out.startswith("::error file=p.pipe,line=4,col=12,")
    assert json.loads(run("check", ROOT, "--json").out) == []


def test_init_makes_a_project_that_passes_its_tests(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    result = run("init", folder, "--ci", "github")
    assert result.code == 0
    assert f"cd {folder} && clickpipe dev" in result.err
    assert "clickpipe deploy" in (folder / ".github/workflows/clickpipe.yml").read_text()
    assert run("check", folder).code == 0
    tested = run("test", "--project", folder)
    assert (tested.code, tested.out.splitlines()[-1]) == (0, "2 tests passed, 0 failed")


def test_pipelines_of_gitlab(run: Run, tmp_path: Path) -> None:
    assert run("init", tmp_path, "--ci", "gitlab").code == 0
    found = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())
    assert {"check", "plan", "deploy"} <= found.keys()


def test_init_keeps_what_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    result = run("init", tmp_path, "--no-example", "--json")
    assert json.loads(result.out) == {"written": ["clickpipe.toml"], "kept": [".gitignore"]}
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_failing_test_is_shown_with_the_difference(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    path = tmp_path / "tests/top_pages.yaml"
    path.write_text(path.read_text().replace('"views":3', '"views":4'))
    result = run("test", "top_pages", "--project", tmp_path)
    assert result.code == 1
    assert '    -{"path": "/", "views": 4, "visitors": 3}' in result.out
    assert result.out.splitlines()[-1] == "1 test passed, 1 failed"
    found = json.loads(run("test", "--project", tmp_path, "--json").out)
    assert [t["passed"] for t in found] == [False, True]
    assert run("test", "nothing", "--project", tmp_path).code == 1
    report = ET.fromstring(run("test", "run", "--project", tmp_path, "--format", "junit").out)  # noqa: S314 - ours
    assert report.attrib == {"name": "clickpipe test", "tests": "2", "failures": "1", "skipped": "0"}
    assert [(c.get("classname"), c.find("failure") is not None) for c in report] == [
        ("top_pages", True),
        ("top_pages", False),
    ]


def test_answers_are_written_into_tests(run: Run, tmp_path: Path) -> None:
    run("init", tmp_path)
    path = tmp_path / "tests/top_pages.yaml"
    before = path.read_text()
    path.write_text(before.replace('"views":3', '"views":4'))
    assert run("test", "update", "top_pages", "--project", tmp_path).out == "tests/top_pages.yaml: 1 test changed\n"
    assert run("test", "--project", tmp_path).code == 0
    assert "all tests pass already" in run("test", "update", "top_pages", "--project", tmp_path).err
    create = ("test", "create", "top_pages", "--param", "limit=1", "--project", tmp_path)
    assert run(*create).out == "added limit_1 to tests/top_pages.yaml: 1 row\n"
    assert "has a test 'limit_1' already" in run(*create).err
    assert run(*create, "--name", "odd", "--param", "limit=x").code == 0
    assert run("test", "--project", tmp_path).out.splitlines()[-1] == "4 tests passed, 0 failed"
    assert "there is no pipe 'nothing'" in run("test", "create", "nothing", "--project", tmp_path).err
