"""Adversarial projects through check and deploy: nothing of the host is read, reached or written, and nothing breaks.

A server runs in a sandbox with canaries in its home, its temporary and current folders, its data folder, its
environment and another workspace; projects are deployed to it over HTTP, used, and checked in folders. Everything that
is told is searched for the canaries in all their forms. CI tries some; `CLICKPIPE_PROJECTS=20000` as many as it says
(`make fuzz`), `CLICKPIPE_PROJECTS_FIRST` from which on.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from clickpipe.cli import main
from tests.security.datafile_writer import ProjectWriter
from tests.security.project_calls import Caller, Said, settle, use
from tests.security.sandbox import ADMIN, Sandbox, removed, sandboxed, workspace
from tests.security.seed_projects import seeds

COUNT = int(os.environ.get("CLICKPIPE_PROJECTS", "100"))
FIRST = int(os.environ.get("CLICKPIPE_PROJECTS_FIRST", "0"))
STEP, _USED = (1, 3) if COUNT > 1000 else (7, 1)  # few projects are of as many seeds, and all that deploy are used
_SHOWN, _IN_ONE, _IN_FOLDER = 100, 200, 12
_LONG = 30.0  # seconds for one answer
# What an author has computed is his: his own secret, and the server's that are for templates.
_OWN = frozenset({"secret", "outer secret"})
_COMMANDS = (
    *(("check", "--no-cache", "--all"), ("check", "--no-cache", "--all"), ("check", "--summary"), ("fmt", "--diff")),
    *(("generate", "openapi"), ("generate", "python"), ("mock", "events"), ("render", "top")),
)


@dataclass
class Run:
    """What is done with projects, and what came of it."""

    box: Sandbox
    caller: Caller
    folders: Path
    results: Counter[str] = field(default_factory=Counter)

    def faults(self, said: Said, files: Mapping[str, str], began: float) -> list[str]:
        """Return what is wrong with an answer."""
        own = "\n".join((*files, *files.values()))
        found = self.box.told(said.text, besides=_OWN if said.rows else frozenset(), own=own)
        found += [f"status {said.status}: {said.text[:500]}"] if said.status >= 500 and said.status != 503 else []
        taken = time.monotonic() - began
        found += [f"took {taken:.0f} s"] if taken > _LONG else []
        return [f"{said.where}: {fault}" for fault in found]

    def deployed(self, files: Mapping[str, str], number: int) -> Iterator[Said]:
        """Deploy a project and use it; yield what is told."""
        promoted = number % 5 != 0
        said = self.caller.deploy(files, promoted=promoted)
        yield said
        ok = not _refused(said)
        self.results["deployed" if ok else f"refused {said.status}"] += 1
        if not ok:
            return
        if not promoted and '"no_changes"' not in said.text:
            yield from settle(self.caller, said, number)
        if number % _USED == 0 and (promoted or number % 2):
            yield from use(self.caller, files, number)

    def commanded(self, files: Mapping[str, str], number: int, capsys: pytest.CaptureFixture[str]) -> Said:
        """Run a command in a folder with the project; return what it prints."""
        folder = self.folders / str(number)
        for name, text in files.items():
            if ".." not in name and len(name) < 200 and not name.startswith("/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(text, encoding="utf-8")
        if number % 4 == 0:
            (folder / "linked.pipe").symlink_to(self.box.root / "home/.netrc")
        command = list(_COMMANDS[number // _IN_FOLDER % len(_COMMANDS)])
        if command[0] in {"mock", "render"}:
            ending = ".datasource" if command[0] == "mock" else ".pipe"
            command[1] = next((Path(name).stem for name in files if name.endswith(ending)), "none")
        with pytest.raises(SystemExit):
            main([*command, *(() if command[0] == "fmt" else ("--project",)), str(folder)])
        told = capsys.readouterr()
        shutil.rmtree(folder, ignore_errors=True)
        self.results[f"$ {command[0]}"] += 1
        return Said(f"$ clickpipe {' '.join(command)}", 200, told.out + told.err)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("host")
    with sandboxed(root) as box, httpx.Client(timeout=120) as client, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(root / "home"))
        patch.chdir(root / "cwd")
        yield Run(box, Caller(client, box.url, workspace(box, "seeds")), root / "projects")


@pytest.mark.slow
def test_projects_reach_nothing_outside(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    wrong: list[str] = []
    numbers = range(FIRST, FIRST + COUNT * STEP, STEP)
    began, name = time.monotonic(), ""
    for done, number in enumerate(numbers):
        if done % _IN_ONE == 0:
            if name:
                removed(run.box, name)
            name = f"projects_{number}"
            run.caller.become(workspace(run.box, name))
        writer = ProjectWriter(number, run.box.outside)
        files, faults = writer.files(), []
        started = time.monotonic()
        for said in run.deployed(files, number):
            faults += run.faults(said, files, started)
            started = time.monotonic()
        if done % _IN_FOLDER == 0:
            faults += run.faults(run.commanded(files, number, capsys), files, started)
        faults += [*run.box.touched(), *run.box.told(run.box.logged(), own="\n".join(files.values()))]
        if faults:
            changed = {name: text for name, text in files.items() if writer.good.get(name) != text}
            wrong.append(f"project {number} of {writer.seed}: {faults[:10]}\n{changed}")
            with capsys.disabled():
                sys.stdout.write(f"{wrong[-1]}\n")
        assert run.box.process.poll() is None, f"the server is gone:\n{run.box.log.read_text()[-5000:]}"
        if done % _SHOWN == 0:
            told = f"{done:,} projects in {time.monotonic() - began:.0f} s: {len(wrong)} wrong, {dict(run.results)}"
            with capsys.disabled():
                sys.stdout.write(f"{told}\n")
    assert wrong == [], f"{len(wrong)} of {COUNT}:\n" + "\n".join(wrong[:10])
    assert run.results["deployed"] > COUNT * 0.3, run.results


def test_seeds_deploy_and_canaries_would_tell(run: Run) -> None:
    """The test above can fail: what it begins with deploys, and what it must not find is found where it is."""
    run.caller.become(workspace(run.box, "fresh"))
    good = [name for name, files in seeds() if not _refused(run.caller.deploy(files, promoted=False, check=True))]
    assert len(good) >= len(seeds()) - 1  # one reads elsewhere, which a setting allows
    box = run.box
    box.touched()
    canary = (box.root / "home/.netrc").read_text()
    assert box.touched() == [f"read {box.root / 'home/.netrc'}"] or sys.platform != "linux"
    for text in (canary, canary.strip()[::-1], canary.strip().encode().hex(), f"x{box.canaries['row'].upper()}", ADMIN):
        assert len(box.told(text)) == 1
    assert box.told("Traceback (most recent call last)")
    assert box.told("nothing at all") == []
    for path in ("out", "home/x", "tmp/x", "cwd/x", "data/x", "data/engine/user_files/x"):
        (box.root / path).write_text("x")
        assert f"wrote {path if path == 'data/x' else box.root / path}" in box.touched()
        (box.root / path).unlink()
    with socket.create_connection(("127.0.0.1", box.outside.port)):
        pass
    for _ in range(200):
        if any("reached" in told for told in box.touched()):
            break
        time.sleep(0.01)
    else:
        pytest.fail("nobody heard the knock")


def _refused(said: Said) -> bool:
    return said.status != 200 or '"result":"failed"' in said.text
