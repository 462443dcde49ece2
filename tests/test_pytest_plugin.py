"""The fixture that applications test with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clickpipe.project import scaffold_files
from tests.conftest import python_environment

TESTS = """\
import json
import urllib.request

import pytest


def test_over_http(clickpipe):
    request = urllib.request.Request(f"{clickpipe.url}/v0/pipes/top_pages.json?limit=1")
    request.add_header("Authorization", f"Bearer {clickpipe.token}")
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["data"] == clickpipe.query("top_pages", limit=1)


def test_rows_in(clickpipe):
    (before,) = clickpipe.sql("SELECT count() AS c FROM page_views")
    assert before["c"] > 0
    clickpipe.ingest("page_views", [EVENT])
    assert clickpipe.sql("SELECT count() AS c FROM page_views") == [{"c": before["c"] + 1}]
    with pytest.raises(pytest.fail.Exception, match="1 rows do not fit page_views: "):
        clickpipe.ingest("page_views", [{**EVENT, "timestamp": "never"}])
"""


def test_an_applications_tests(tmp_path: Path) -> None:
    files = scaffold_files()
    for name, text in files.items():
        (tmp_path / "analytics" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "analytics" / name).write_text(text)
    event = files["fixtures/page_views.ndjson"].splitlines()[0]
    (tmp_path / "test_it.py").write_text(f"EVENT = {event}\n{TESTS}")
    (tmp_path / "pytest.ini").write_text("[pytest]\nclickpipe_project = analytics\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: PLW1510 - looked at below
        [*command, str(tmp_path)], cwd=tmp_path, env=python_environment(), capture_output=True, text=True, timeout=120
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
