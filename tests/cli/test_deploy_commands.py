"""`clickpipe deploy`, staging and previews."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_deploy_shows_the_plan_and_promotes(on_server: Run, tmp_path: Path) -> None:
    on_server("init", tmp_path)
    (tmp_path / "datasources/page_views.datasource").rename(tmp_path / "datasources/views.datasource")
    pipe = tmp_path / "pipes/top_pages.pipe"
    pipe.write_text(pipe.read_text().replace("FROM page_views", "FROM views"))
    arguments = ("deploy", tmp_path, "--allow-destructive-operations")
    checked = on_server(*arguments, "--check")
    assert checked.code == 0
    assert "+ views.datasource" in checked.out
    assert "is live" not in checked.out
    done = on_server(*arguments)
    assert done.code == 0
    assert re.search(r"deployment \d+ is live on http://127", done.out)
    again = on_server(*arguments)
    assert (again.code, "no changes" in again.err) == (0, True)
    assert json.loads(on_server(*arguments, "--json").out)["result"] == "no_changes"


def test_the_plan_as_markdown(on_server: Run, tmp_path: Path) -> None:
    on_server("init", tmp_path)
    assert on_server("deploy", tmp_path, "--allow-destructive-operations").code == 0
    path = tmp_path / "datasources" / "page_views.datasource"
    before = path.read_text()
    path.write_text(before.replace("path String", "path FixedString(64)"))
    github = ("--format", "github")
    shown = on_server("deploy", tmp_path, "--check", *github).out
    assert shown.startswith("### clickpipe: can be applied\n\n- `~ page_views.datasource`\n\n| step | resource |")
    assert "| rewrite with backfill | `page_views` | the table's definition changed | 0 |  |  |" in shown
    assert re.match(r"### clickpipe: deployment \d+ is live\n", on_server("deploy", tmp_path, *github).out)
    assert on_server("deploy", tmp_path, *github).out == "### clickpipe: nothing changes\n"
    path.write_text(before.replace("String", "Strin"))
    refused = on_server("deploy", tmp_path, "--check", *github)
    assert (refused.code, refused.out.startswith("### clickpipe: **refused**\n\n- error: ")) == (1, True)


def test_deploy_refuses_with_the_place_in_the_file(deployed: Run, tmp_path: Path) -> None:
    (tmp_path / "p.pipe").write_text("NODE n\nSQL >\n    SELECT nope FROM numbers(3)\nTYPE endpoint\n")
    result = deployed("deploy", tmp_path)
    assert result.code == 1
    assert "p.pipe:3:12: error[CP4002]" in result.err
    assert "  3 |     SELECT nope FROM numbers(3)\n    |            ^^^^" in result.err
    assert deployed("endpoint", "data", "get_popular_pages").code == 0


def test_deploy_does_not_drop_data_by_itself(deployed: Run, tmp_path: Path) -> None:
    (tmp_path / "p.pipe").write_text("NODE n\nSQL >\n    SELECT 1 AS one\nTYPE endpoint\n")
    result = deployed("deploy", tmp_path)
    assert result.code == 1
    assert "'clickstream_events'" in result.err
    assert "--allow-destructive-operations" in result.err


def test_staging(on_server: Run, tmp_path: Path) -> None:
    on_server("init", tmp_path)
    assert on_server("deploy", tmp_path, "--allow-destructive-operations").code == 0
    (tmp_path / "pipes" / "answer.pipe").write_text("NODE n\nSQL >\n    SELECT 42 AS x\nTYPE endpoint\n")
    assert "waits in staging" in on_server("deploy", tmp_path, "--no-auto").out
    assert on_server("endpoint", "data", "answer").code == 1
    assert json.loads(on_server("endpoint", "data", "answer", "--staging", "--json").out) == [{"x": 42}]
    assert json.loads(on_server("sql", "SELECT x FROM answer", "--staging", "--json").out) == [{"x": 42}]
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"x": 1}')
    assert "is the same in staging" in on_server("datasource", "append", "page_views", str(rows), "--staging").err
    listed = on_server("deployment", "ls").out
    assert [word for word in ("live", "staging", "previous") if word in listed] == ["live", "staging"]
    assert "is live on" in on_server("deployment", "promote").out
    assert "nothing is in staging" in on_server("deployment", "promote").err
    assert json.loads(on_server("endpoint", "data", "answer", "--json").out) == [{"x": 42}]
    assert on_server("deployment", "rollback").code == 0
    assert on_server("endpoint", "data", "answer").code == 1
    assert on_server("deployment", "discard").code == 0
    assert "there is no standby deployment" in on_server("deployment", "discard").err
    assert "no previous deployment is kept" in on_server("deployment", "rollback").err
    assert [d["live"] for d in json.loads(on_server("deployment", "ls", "--json").out)] == [True]


def test_previews(on_server: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_HEAD_REF", "CI_COMMIT_REF_NAME"):
        monkeypatch.delenv(name, raising=False)
    on_server("init", tmp_path)
    assert on_server("deploy", tmp_path, "--allow-destructive-operations").code == 0
    rows = tmp_path / "rows.ndjson"
    rows.write_text('{"timestamp": "2026-01-01 00:00:00", "path": "/", "visitor": "v"}')
    on_server("datasource", "append", "page_views", str(rows))
    count = ("sql", "SELECT count() AS c FROM page_views", "--json")
    (live,) = json.loads(on_server(*count).out)
    assert live["c"] > 0
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path)], check=True)  # noqa: S607
    refused = on_server("preview", "deploy", tmp_path)
    assert (refused.code, "a preview needs a name" in refused.err) == (1, True)
    (tmp_path / "pipes" / "answer.pipe").write_text("NODE n\nSQL >\n    SELECT 42 AS x\nTYPE endpoint\n")
    monkeypatch.setenv("GITHUB_HEAD_REF", "feature/answer-1")
    checked = on_server("preview", "deploy", tmp_path, "--check")
    assert (checked.code, "+ answer.pipe" in checked.out, "made" in checked.err) == (0, True, False)
    assert "there are no previews" in on_server("preview", "ls").err
    done = on_server("preview", "deploy", tmp_path)
    assert (done.code, "is live on" in done.out, "made" in done.err) == (0, True, True)
    again = on_server("preview", "deploy", tmp_path, "--check")
    assert (again.code, "no changes" in again.err, "made" in again.err) == (0, True, False)
    assert "did you mean 'feature_answer_1'?" in on_server("preview", "rm", "feature_answer").err
    assert "feature_answer_1" in on_server("preview", "ls").out
    token = on_server("preview", "token", "feature_answer_1").out.strip()
    assert json.loads(on_server("endpoint", "data", "answer", "--token", token, "--json").out) == [{"x": 42}]
    assert on_server("endpoint", "data", "answer").code == 1
    on_server("datasource", "truncate", "page_views", "--yes", "--token", token)
    assert json.loads(on_server(*count, "--token", token).out) == [{"c": 0}]
    assert json.loads(on_server(*count).out) == [live]
    assert json.loads(on_server("preview", "ls", "--json").out)[0]["name"] == "feature_answer_1"
    assert on_server("preview", "rm", "feature_answer_1").code == 0
    assert "there are no previews" in on_server("preview", "ls").err
    assert "There is no preview" in on_server("preview", "rm", "feature_answer_1").err
