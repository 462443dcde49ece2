"""What the README and the pages tell a reader to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from clickpipe.cli.app import cli
from clickpipe.ingest import lines_of
from clickpipe.project import scaffold_files
from clickpipe.runtime import Workspace
from tests.conftest import ROOT, RunPython

README = (ROOT / "README.md").read_text(encoding="utf-8")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^|[ (;&])(?:\.venv/bin/)?clickpipe ([a-z-].*)$")


def fences(text: str, language: str) -> list[str]:
    return [body for found, body in _FENCE.findall(text) if found == language]


def commands() -> list[str]:
    found: set[str] = set()
    for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = path.read_text(encoding="utf-8")
        lines = [line for _, body in _FENCE.findall(text) for line in body.splitlines()]
        lines += re.findall(r"`([^`\n]*clickpipe [^`\n]*)`", text)
        for line in lines:
            for part in re.split(r"&&|\|\s", line):
                match = _COMMAND.search(part.split(" #")[0].strip())
                if match:
                    found.add(match[1].strip())
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_commands_exist_with_their_options(command: str) -> None:
    words = [w for w in shlex.split(command) if not w.startswith("<")]
    current: click.Command = cli
    with click.Context(cli, info_name="clickpipe") as context:
        while isinstance(current, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            found = current.get_command(context, name)
            assert found is not None, f"there is no command '{name}'"
            current = found
        known = {option for p in current.params for option in (*p.opts, *p.secondary_opts)} | {
            "--help",
            "-h",
            "--version",
        }
    assert {w.split("=")[0] for w in words if w.startswith("-") and w != "-"} <= known


def test_commands_are_found() -> None:
    assert len(commands()) > 8


def test_the_workflow_is_the_one_that_init_writes() -> None:
    (workflow,) = fences(README, "yaml")
    written = scaffold_files(ci="github")[".github/workflows/clickpipe.yml"]
    assert workflow.split("\n", 1)[1] == written


def own_project() -> dict[str, str]:
    """The data source and the endpoint that the README has its reader write."""
    datasource, pipe = [body for body in fences(README, "") if "SCHEMA >" in body or "NODE " in body]
    return {"datasources/orders.datasource": datasource, "pipes/top_customers.pipe": pipe}


def test_the_readers_own_project_answers(workspace: Workspace) -> None:
    workspace.deploy(own_project())
    event = re.search(r"-d '(\{\"id\".*?\})'", README)
    assert event is not None
    result = workspace.data.submit("orders", lines_of(event[1].encode())).result()
    assert (result.successful_rows, result.quarantined_rows) == (1, 0)
    assert workspace.query("top_customers", limit=3) == [{"customer": "Ada", "spent": 42.5, "orders": 1}]


@pytest.mark.slow
def test_the_python_example_runs(run_python: RunPython, tmp_path: Path) -> None:
    (code,) = fences(README, "python")
    assert 'clickpipe.load(".")' in code
    code = code.replace('clickpipe.open(".")', f'clickpipe.open(".", {str(tmp_path)!r})')
    done = run_python(f"import os\nos.chdir({str(ROOT)!r})\n{code}")
    assert "{user_id:String}" in done.stdout
    assert "'session_id': 's1'" in done.stdout
