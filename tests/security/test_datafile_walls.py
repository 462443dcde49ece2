"""Adversarial projects through check and deploy: nothing of the host is read, reached or written, and nothing breaks.

CI tries some hundred; `CLICKPIPE_PROJECTS=20000` as many as it says (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from clickpipe.checking import check_folder
from clickpipe.diagnostics import ClickpipeError, ProjectError
from clickpipe.engine import EngineError
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace
from clickpipe.server import create_app
from tests.security.datafile_writer import GOOD, Outside, ProjectWriter

COUNT = int(os.environ.get("CLICKPIPE_PROJECTS", "250"))
FIRST = int(os.environ.get("CLICKPIPE_PROJECTS_FIRST", "0"))
_SHOWN = 500
_LONG = 30.0  # seconds for one project
CANARIES = ("canary-of-the-file", "canary-of-the-environment", "canary-of-the-other", "canary-of-the-secret")
_TRACES = re.compile(r"Traceback|\bbug in clickpipe|Internal error|File \"/")


@dataclass
class Sandbox:
    """A server, what is outside of it, and who has knocked."""

    instance: Instance
    outside: Outside
    folder: Path
    knocks: list[str] = field(default_factory=list)
    results: Counter[str] = field(default_factory=Counter)

    def written(self) -> list[str]:
        """Return what is there that was not."""
        return sorted(str(path) for path in self.folder.rglob("*") if path.name != "passwd")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("host")
    file = folder / "passwd"
    file.write_text(f"{CANARIES[0]}\n")
    before = os.environ.get("CLICKPIPE_CANARY")
    os.environ["CLICKPIPE_CANARY"] = CANARIES[1]
    with socket.create_server(("127.0.0.1", 0)) as listener, Instance(None) as instance:
        port = listener.getsockname()[1]
        other = instance.workspaces.create("other_tenant")
        other.deploy({"datasources/other.datasource": "SCHEMA >\n    `val` String `json:$.val`\n"})
        other.append("other", [Lines.of([b'{"val":"canary-of-the-other"}'])])
        outside = Outside(str(file), f"http://127.0.0.1:{port}/", port, str(folder / "out"), other.database)
        found = Sandbox(instance, outside, folder)
        threading.Thread(target=_listen, args=(listener, found.knocks), daemon=True).start()
        yield found
    if before is None:
        del os.environ["CLICKPIPE_CANARY"]


def _listen(listener: socket.socket, knocks: list[str]) -> None:
    while True:
        try:
            connection, address = listener.accept()
        except OSError:
            return
        knocks.append(str(address))
        connection.close()


def _deploy(sandbox: Sandbox, workspace: Workspace, number: int) -> tuple[dict[str, str], str, list[str]]:
    """Deploy a project; return it, what is told, and what is wrong with that."""
    files = ProjectWriter(number, sandbox.outside).files()
    began = time.monotonic()
    wrong = []
    try:
        plan = workspace.deploy(files, allow_destructive=True)
        told = str(plan)
        sandbox.results["deployed"] += 1
    except ProjectError as error:
        told = "\n".join(f"{d.message} {d.hint}" for d in error.diagnostics)
        sandbox.results["refused by check"] += 1
    except ClickpipeError as error:
        told = error.message
        sandbox.results["refused by deploy"] += 1
        wrong += [f"status {error.status}"] if error.status >= 500 and error.status != 503 else []
    except EngineError as error:  # rows that were there do not come into the new table: what was live stays
        told = error.message
        sandbox.results["failed"] += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a bug
        told = ""
        wrong.append(f"{type(error).__name__}: {error}")
    if (taken := time.monotonic() - began) > _LONG:
        wrong.append(f"it took {taken:.0f} s")
    return files, told, wrong


def _checked(files: dict[str, str], folder: Path) -> str:
    """Check a project in a folder, as `clickpipe check` does; return what is told."""
    for name, text in files.items():
        if ".." not in name and len(name) < 200:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    try:
        return "\n".join(f"{d.message} {d.hint}" for d in check_folder(folder).diagnostics)
    except ClickpipeError as error:  # of clickpipe.toml
        return error.message


async def _use(sandbox: Sandbox, workspace: Workspace) -> str:
    """Send events and ask endpoints, so that defaults, views and templates run; return what is told."""
    transport = httpx.ASGITransport(create_app(sandbox.instance), raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {sandbox.instance.workspaces.admin_token(workspace).value}"}
    events = (b'{"id":1,"at":"2026-01-01 00:00:00","val":"a","tags":["b"]}', b'{"id":2}')
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60, headers=headers) as client:
        told = [await client.post("/v0/events?name=events&wait=true", content=body) for body in events]
        for path in ("/v0/pipes/top.json?x=1&n=1", "/v0/pipes/top2.json", "/v0/sql?q=SELECT+*+FROM+events"):
            told.append(await client.get(path))  # noqa: PERF401 - one after another
    sandbox.results.update(f"used {reply.status_code}" for reply in told)
    bad = [f"status {r.status_code}" for r in told if r.status_code >= 500 and r.status_code != 503]
    return "\n".join([*(reply.text for reply in told), *bad])


@pytest.mark.slow
def test_projects_reach_nothing_outside(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every other deployed one is used, every tenth is checked in a folder; a workspace serves some hundred projects.

    A folder's values may have what the environment has (docs/datafiles.md): it is who checks that has both.
    """
    wrong: list[str] = []
    workspace: Workspace | None = None
    for number in range(FIRST, FIRST + COUNT):
        if workspace is None or number % 200 == 0:
            if workspace is not None:
                sandbox.instance.workspaces.delete(workspace)
            workspace = sandbox.instance.workspaces.create(f"projects_{number}")
            sandbox.instance.catalog.secrets.put(workspace.id, "key", CANARIES[3])
        before = sandbox.results["deployed"]
        files, told, faults = _deploy(sandbox, workspace, number)
        if sandbox.results["deployed"] > before and number % 2 == 0:
            told += asyncio.run(_use(sandbox, workspace))
        faults += [canary for canary in CANARIES[:3] if canary in told]
        if number % 10 == 0:
            checked = _checked(files, tmp_path / str(number))
            sandbox.results["checked in a folder"] += 1
            faults += [f"check tells {canary}" for canary in (CANARIES[0], CANARIES[2]) if canary in checked]
        faults += [f"says {found[0]}: {told[:500]}" for found in [_TRACES.search(told)] if found]
        faults += re.findall(r"status 5\d\d", told)
        faults += [f"reached by {knock}" for knock in sandbox.knocks] + sandbox.written()
        sandbox.knocks.clear()
        if faults:
            changed = {name: text for name, text in files.items() if GOOD.get(name) != text}
            wrong.append(f"project {number}: {faults}\n{changed}")
            sys.stdout.write(f"{wrong[-1]}\n")
        if number % _SHOWN == 0:
            sys.stdout.write(f"{number:,} projects: {len(wrong)} wrong, {dict(sandbox.results)}\n")
    assert wrong == [], f"{len(wrong)} of {COUNT}:\n" + "\n".join(wrong[:10])


def test_the_listener_and_the_file_would_tell(sandbox: Sandbox) -> None:
    """The test above can fail: the good project deploys, the file is there, and a connection is noticed."""
    workspace = sandbox.instance.workspaces.create("good_projects")
    workspace.deploy(GOOD)
    assert "a" in asyncio.run(_use(sandbox, workspace))
    assert CANARIES[0] in Path(sandbox.outside.file).read_text()
    socket.create_connection(("127.0.0.1", sandbox.outside.port)).close()
    for _ in range(100):
        if sandbox.knocks:
            break
        time.sleep(0.01)
    assert sandbox.knocks
    sandbox.knocks.clear()
