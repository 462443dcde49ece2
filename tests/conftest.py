"""One instance in memory for each process of the run; each test gets a workspace of its own, which costs milliseconds.

A process can open one data folder at a time, so tests that need a folder on disk start a process of
their own (`run_python`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from clickpipe.catalog import Catalog
from clickpipe.compiler import CompiledProject, compile_project
from clickpipe.config import load_settings
from clickpipe.engine import Engine, scratch
from clickpipe.project import load_texts
from clickpipe.runtime import Instance, Workspace

ROOT = Path(__file__).parent.parent

settings.register_profile(
    "clickpipe",
    deadline=None,  # tests assert no time
    derandomize=True,  # the same examples on every machine
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("clickpipe")

CONFIG = tempfile.TemporaryDirectory(prefix="clickpipe-config-")
os.environ["XDG_CONFIG_HOME"] = CONFIG.name  # where keys are made: not in the home of who runs the tests

RunPython = Callable[..., subprocess.CompletedProcess[str]]
Compile = Callable[[Mapping[str, str]], CompiledProject]


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    with Instance(None) as found:
        yield found


@pytest.fixture(scope="session")
def engine(instance: Instance) -> Engine:
    return instance.engine


@pytest.fixture
def catalog() -> Iterator[Catalog]:
    made = Catalog(None)
    yield made
    made.close()


@pytest.fixture
def workspace(instance: Instance) -> Iterator[Workspace]:
    """A workspace with nothing deployed."""
    made = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    yield made
    instance.workspaces.delete(made)


@pytest.fixture(scope="session")
def compile_files(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compile files as `clickpipe check` does; `clickpipe.toml` among them has the settings."""

    folder = tmp_path_factory.mktemp("settings")

    def run(files: Mapping[str, str]) -> CompiledProject:
        (folder / "clickpipe.toml").write_text(files.get("clickpipe.toml", ""))
        datafiles = {name: text for name, text in files.items() if name != "clickpipe.toml"}
        with scratch(engine) as checker:
            return compile_project(load_texts(datafiles), checker, load_settings(folder).rules())

    return run


def python_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLICKPIPE_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


@pytest.fixture
def run_python() -> RunPython:
    """Run a piece of Python in a process of its own, which may open a data folder; it has to end well."""

    def run(code: str, *args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
        done = subprocess.run(  # noqa: PLW1510 - checked below, with what it printed
            command, env=python_environment(), capture_output=True, text=True, timeout=120
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What a statement waits for; it is set in the end."""
    event = threading.Event()
    yield event
    event.set()
