"""The command line against a server in a process of its own, over a real socket."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from clickpipe.cli import main
from tests.conftest import ROOT, python_environment

ADMIN_TOKEN = "p.e_the_admin_token_of_the_tests"


@dataclass
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@dataclass
class Process:
    """A running `clickpipe serve` or `clickpipe dev`, and what it has printed so far."""

    popen: subprocess.Popen[str]
    url: str = ""
    printed: str = ""

    def read_until(self, text: str) -> str:
        """Read standard output up to a line that holds `text`."""
        assert self.popen.stdout is not None
        watchdog = threading.Timer(60, self.popen.kill)  # a line that never comes ends the test, not the run
        watchdog.start()
        try:
            for line in self.popen.stdout:
                self.printed += line
                if text in line:
                    return line
        finally:
            watchdog.cancel()
        raise AssertionError(f"{text!r} was not printed, but:\n{self.printed}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """End the process and return its exit code."""
        self.popen.send_signal(how)
        rest, _ = self.popen.communicate(timeout=30)
        self.printed += rest
        return self.popen.returncode


@contextmanager
def start(*args: str | Path, cwd: Path, **environment: str) -> Iterator[Process]:
    """Run a command that serves, until it listens; end it afterwards."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "clickpipe", *map(str, args), "--port", "0"],
        cwd=cwd,
        env={**python_environment(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process = Process(popen)
    try:
        match = re.search(r"http://\S+", process.read_until("http://127.0.0.1:"))
        assert match is not None
        process.url = match[0]
        yield process
    finally:
        if popen.poll() is None:
            process.stop()
        if popen.stdout is not None:
            popen.stdout.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of each file's own, with nothing deployed at first: files run in any order."""
    folder = tmp_path_factory.mktemp("server")
    with start("serve", "--data-dir", folder / "data", cwd=folder, CLICKPIPE_ADMIN_TOKEN=ADMIN_TOKEN) as process:
        yield process.url


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process; colours and the environment's own settings are off."""
    for name in list(os.environ):
        if name.startswith("CLICKPIPE_"):
            monkeypatch.delenv(name)

    def call(*args: str | Path) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in args])
        out, err = capfd.readouterr()
        return Result(int(end.value.code or 0), out, err)

    return call


@pytest.fixture
def on_server(run: Run, server: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that calls the server."""
    monkeypatch.setenv("CLICKPIPE_HOST", server)
    monkeypatch.setenv("CLICKPIPE_TOKEN", ADMIN_TOKEN)
    return run


@pytest.fixture
def deployed(on_server: Run) -> Run:
    """The example project on the server (deployed once; the second time nothing changes)."""
    assert on_server("deploy", ROOT, "--allow-destructive-operations").code == 0
    return on_server
