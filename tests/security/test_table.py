"""README.md names tests that are there, with as many cases as it says."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parent.parent
_ROW = re.compile(r"^\| .*`([\w/]+\.py)::(\w+)` \| (\d+) \|$", re.MULTILINE)
ROWS = [(path, name, int(count)) for path, name, count in _ROW.findall((TESTS / "security/README.md").read_text())]


def test_each_kind_has_as_many_cases_as_the_table_says() -> None:
    tables = [(path, name, count) for path, name, count in ROWS if not name.startswith("test_")]
    for path, name, count in tables:
        module = importlib.import_module(f"tests.{path.removesuffix('.py').replace('/', '.')}")
        assert len(getattr(module, name)) >= count, name
    listed = [f"{TESTS / path}::{name}" for path, name, _ in ROWS if name.startswith("test_")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *listed]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=TESTS.parent)
    assert run.returncode == 0, run.stdout[-2000:]
    found = Counter(line.partition("[")[0].removeprefix("tests/") for line in run.stdout.splitlines() if "::" in line)
    short = {
        f"{path}::{name}": found[f"{path}::{name}"]
        for path, name, count in ROWS
        if name.startswith("test_") and found[f"{path}::{name}"] < count
    }
    assert short == {}


def test_each_kind_has_ten_cases() -> None:
    assert len(ROWS) > 20
    kinds: Counter[str] = Counter()
    kind = ""
    for line in (TESTS / "security/README.md").read_text().splitlines():
        if row := _ROW.match(line):
            kind = line.split("|")[1].strip() or kind
            kinds[kind] += int(row[3])
    assert {kind: count for kind, count in kinds.items() if count < 10} == {}
