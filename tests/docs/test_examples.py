"""The examples of the repository start with one command each, and answer with what they read."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from examples.__main__ import EXAMPLES, main
from tests.cli.conftest import Process
from tests.conftest import ROOT, python_environment


@contextmanager
def example(name: str, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Start an example's own command on a copy; yield its URL, and headers with a token."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".clickpipe"))
    popen = subprocess.Popen(
        [sys.executable, "-m", "examples", name, "--port", "0"],
        cwd=tmp_path,
        env={**python_environment(), "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process = Process(popen)
    try:
        process.read_until("Send an event")
        token = re.search(r'"Authorization: (Bearer [\w.-]+)" "(http://127[^\s/]+)', process.read_until("  curl"))
        assert token is not None
        yield token[2], {"Authorization": token[1]}
    finally:
        popen.send_signal(signal.SIGINT)
        popen.wait(60)
        if popen.stdout is not None:
            popen.stdout.close()


def answer(url: str, headers: dict[str, str], pipe: str, least: int, column: str) -> list[dict[str, int]]:
    """An endpoint's rows, once a column sums up to at least a number."""
    until = time.monotonic() + 90
    while True:
        rows: list[dict[str, int]] = httpx.get(f"{url}/v0/pipes/{pipe}.json", headers=headers).json()["data"]
        if sum(row[column] for row in rows) >= least:
            return rows
        assert time.monotonic() < until, rows
        time.sleep(0.2)


@pytest.mark.slow
def test_a_topic_becomes_an_api(tmp_path: Path) -> None:
    with example("kafka-clickstream", tmp_path) as (url, headers):
        pages = answer(url, headers, "top_pages", 2_000, "views")
        assert {"/", "/pricing", "/docs"} <= {str(row["page"]) for row in pages}
        behind = answer(url, headers, "behind", 2_000, "messages")
        assert all(row["messages"] == row["last_offset"] + 1 for row in behind)


@pytest.mark.slow
def test_files_become_an_api_and_rows_files(tmp_path: Path) -> None:
    with example("files-in-a-bucket", tmp_path) as (url, headers):
        assert httpx.post(f"{url}/v0/datasources/orders/scheduling/runs", headers=headers).status_code in {200, 202}
        countries = answer(url, headers, "revenue", 1_000, "orders")
        assert len(countries) == 5
        job = httpx.post(f"{url}/v0/pipes/monthly_report/sink", headers=headers).json()["job"]
        until = time.monotonic() + 60
        while job["status"] not in {"done", "error"}:
            assert time.monotonic() < until, job
            time.sleep(0.2)
            job = httpx.get(f"{url}/v0/jobs/{job['id']}", headers=headers).json()
        assert (job["status"], sorted(job["files"])) == (
            "done",
            [f"reports/{c}.csv" for c in ("DE", "ES", "FR", "IT", "US")],
        )


def test_each_example_is_listed_and_has_a_page() -> None:
    listed = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    found = {path.parent.name for path in (ROOT / "examples").glob("*/clickpipe.toml")}
    assert found == set(EXAMPLES) == set(re.findall(r"make example NAME=([\w-]+)", listed))
    for name in found:
        assert f"make example NAME={name}\n" in (ROOT / f"examples/{name}/README.md").read_text(encoding="utf-8")


def test_an_unknown_example_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kafka"]) == 2
    assert capsys.readouterr().err.startswith("no example named kafka; there are: kafka-clickstream, ")
