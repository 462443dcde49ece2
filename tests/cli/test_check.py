"""`clickpipe check` on projects with much to say."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import ADMIN_TOKEN, Run

PIPE = "NODE n\nSQL >\n    SELECT id FROM {}\nTYPE endpoint\n"


def project(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_missing_data_source_is_told_once_and_first(run: Run, tmp_path: Path) -> None:
    pipes = {f"pipes/p{n}.pipe": PIPE.format("crm.people") for n in range(9)}
    project(tmp_path, {**pipes, "datasources/a.datasource": "SCHEMA >\n    id Strin\n"})
    found = run("check", tmp_path)
    assert found.code == 1
    assert found.err.count("'crm.people' is not in the project") == 1
    first = found.err.split("\n\n")[0]
    assert "(read in 9 places)" in first
    assert "add datasources/crm.people.datasource" in first
    assert "10 errors" in found.err


def test_of_many_diagnostics_twenty_are_shown_the_errors_first(run: Run, tmp_path: Path) -> None:
    files = {f"pipes/a{n}.pipe": "VERSION 1\n" + PIPE.format("numbers(1)").replace("id", "number") for n in range(30)}
    project(tmp_path, {**files, "pipes/z.pipe": PIPE.format("numbers(1)")})
    found = run("check", tmp_path)
    assert found.err.count("warning[CP1011]:") == 20  # nineteen, and the line that counts them
    assert found.err.index("error[CP4002]") < found.err.index("warning[CP1011]")
    assert "20 of 31 are shown (--all shows them all)" in found.err
    assert "    30  warning[CP1011]: directive deprecated" in found.err
    assert "and 21 more files" in found.err
    assert run("check", "--all", tmp_path).err.count("warning[CP1011]:") == 30
    assert len(json.loads(run("check", "--json", tmp_path).out)) == 31


def test_the_summary(run: Run, tmp_path: Path, server: str) -> None:
    project(
        tmp_path,
        {
            "datasources/events.datasource": (
                "SCHEMA >\n    id String `json:$.id`\nKAFKA_CONNECTION_NAME k\nKAFKA_TOPIC t\nKAFKA_GROUP_ID g\n"
            ),
            "pipes/good.pipe": PIPE.format("events WHERE id = {{tb_secret('KEY')}}").replace(
                "SQL >\n", "SQL >\n    %\n"
            ),
            "pipes/bad.pipe": PIPE.format("crm.people"),
            "pipes/c.pipe": (
                "NODE n\nSQL >\n    SELECT id FROM s3('https://b/x.csv', 'CSV', 'id String')\n"
                "TYPE copy\nTARGET_DATASOURCE events\n"
            ),
        },
    )
    found = run("check", "--summary", tmp_path)
    assert found.code == 1
    for line in (
        "     1 data sources, 1 type-check completely",
        "     2 endpoints, 1 type-check completely",
        "  connection k",
        "  secret KEY",
        "  the setting copy_sources with s3",
        "  data source crm.people",
    ):
        assert line in found.out
    asked = run("check", "--summary", "--host", server, "--token", ADMIN_TOKEN, tmp_path)
    assert "  secret KEY: MISSING" in asked.out
    assert "  the setting copy_sources with s3: MISSING" in asked.out
    shown = json.loads(run("check", "--summary", "--json", tmp_path).out)
    assert shown["resources"]["endpoints"] == {"total": 2, "complete": 1}
    assert (shown["secrets"], shown["missing"]) == (["KEY"], ["crm.people"])


def test_the_workspace_that_jwts_name(run: Run, server: str) -> None:
    options = ("--host", server, "--token", ADMIN_TOKEN, "--json")
    found = json.loads(run("workspace", "current", *options).out)
    assert found in json.loads(run("workspace", "ls", *options).out)


def test_a_new_project_is_strict(run: Run, tmp_path: Path) -> None:
    assert run("init", tmp_path / "shop").code == 0
    assert 'broken_branches = "error"' in (tmp_path / "shop" / "clickpipe.toml").read_text()
    (tmp_path / "shop" / "pipes" / "b.pipe").write_text(
        "NODE n\nSQL >\n    %\n    SELECT {% if defined(a) %} nope {% else %} 1 {% end %} AS x\nTYPE endpoint\n"
    )
    assert run("check", tmp_path / "shop").code == 1
