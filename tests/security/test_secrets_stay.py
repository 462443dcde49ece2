"""What is secret comes out nowhere: tried in a process of its own, since a process opens one data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_no_canary_comes_out() -> None:
    path = Path(__file__).with_name("secrets_on_disk.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250, check=False)
    assert found.returncode == 0, found.stdout[-5_000:] + found.stderr[-2_000:]
    assert " passed" in found.stdout
