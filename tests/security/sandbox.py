"""A server in a process of its own, with home, temporary and current folders of its own, and canaries around it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import httpx

from tests.conftest import python_environment
from tests.security.canaries import forms
from tests.security.datafile_writer import Outside
from tests.security.watching import Knocks, Opened, State, changed, listening, state


def _canary(name: str) -> str:
    return f"Cn{sha256(name.encode()).hexdigest()[:30]}"


ADMIN = _canary("admin token")
# Files that nobody may read, by where they lie in the sandbox; each has a canary.
_FILES = (
    *("passwd", "home/.netrc", "home/.ssh/id_rsa", "home/.aws/credentials", "home/secrets.csv", "tmp/passwd"),
    *("cwd/passwd", "cwd/x.incl", "cwd/more.pipe", "cwd/data.csv", "user_files/x", "data/engine/user_files/passwd"),
)
TRACES = re.compile(r"Traceback|\bbug in clickpipe|Internal error|File \"/")
# What the server has in its data folder and in its engine's, and what may be in the latter's own.
_PARTS = {
    "data": {
        *("catalog.generation", "catalog.sqlite", "catalog.sqlite-shm", "catalog.sqlite-wal", "engine", "lock"),
        *("made-by", "server.json", "uploads", "wal"),
    },
    "data/engine": {"config", "running", "spool", "data", "user_files", "repaired"},
    "data/engine/data": {"data", "metadata", "metadata_dropped", "status", "store", "tmp", "uuid"},
}


@dataclass
class Sandbox:
    """A running server, what is outside of it, and what tells of that."""

    root: Path
    url: str
    process: subprocess.Popen[str]
    outside: Outside
    canaries: Mapping[str, str]
    opened: Opened
    knocks: Knocks
    other: str  # the token of the other workspace
    _before: State = field(default_factory=dict)
    _read: int = 0

    @property
    def log(self) -> Path:
        """Where the server writes what it tells."""
        return self.root / "log"

    def begin(self) -> None:
        """Count what is there now as what may be there."""
        self._before = self._state()
        self.opened()
        self.knocks()

    def touched(self) -> list[str]:
        """Return what was read, written and called since `begin`, or since the last call."""
        after = self._state()
        found = [*changed(self._before, after), *(f"read {path}" for path in self.opened()), *self.knocks()]
        self._before = after
        new = (
            f"{part}/{path.name}"
            for part, kept in _PARTS.items()
            for path in (self.root / part).iterdir()
            if path.name not in kept
        )
        return [*found, *(f"wrote {name}" for name in sorted(new))]

    def _state(self) -> State:
        """Return all but where the server, and the folders that commands are run in, may write."""
        data = self.root / "data"
        own = (data, self.log, self.root / "projects")
        others = [path.resolve() for path in (data / "engine/data").glob(f"*/{self.outside.foreign}/*")]
        return {**state(self.root, besides=own), **state(data / "engine/config", data / "engine/user_files", *others)}

    def logged(self) -> str:
        """Return what the server logged since the last call."""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            file.seek(self._read)
            text = file.read()
            self._read = file.tell()
        return text

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        return {
            name: re.compile("|".join(sorted(re.escape(form) for form in forms(canary) if len(form) >= 12)))
            for name, canary in self.canaries.items()
        }

    def told(self, text: str, *, besides: frozenset[str] = frozenset(), own: str = "") -> list[str]:
        """Return the canaries that a text tells, in any form, and traces of bugs; not what the project says itself."""
        found = [
            f"tells {name}: …{text[max(0, match.start() - 80) : match.end() + 40]}…"
            for name, pattern in self._patterns.items()
            if name not in besides
            for match in [pattern.search(text)]
            if match and match[0] not in own
        ]
        return [
            *found,
            *(
                f"says {m[0]}: …{text[max(0, m.start() - 200) : m.end() + 1500]}"
                for m in [TRACES.search(text)]
                if m and m[0] not in own
            ),
        ]


@contextmanager
def sandboxed(root: Path) -> Iterator[Sandbox]:
    """Run a server among canaries, with another workspace that has a row; end it afterwards."""
    canaries = {path: _canary(path) for path in _FILES}
    for folder in ("home", "tmp", "cwd", "data", "projects"):
        (root / folder).mkdir(parents=True)
    for path, canary in canaries.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{canary}\n")
    canaries |= {name: _canary(name) for name in ("environment", "row", "secret", "outer secret")}
    environment = {
        "HOME": str(root / "home"),
        "XDG_CONFIG_HOME": str(root / "home/.config"),
        "TMPDIR": str(root / "tmp"),
        "CLICKPIPE_CANARY": canaries["environment"],
        "CLICKPIPE_SECRET_outside": canaries["outer secret"],
        "CLICKPIPE_ADMIN_TOKEN": ADMIN,
        "CLICKPIPE_LOG_REQUESTS": "all",
        "CLICKPIPE_LOG_LEVEL": "debug",
        "CLICKPIPE_TRUST_DATA_DIR": "1",  # files with canaries are in it before its first start
    }
    with listening() as knocks, _serving(root, environment) as (process, url):
        other = _made(url, "other_tenant", ADMIN)
        _deployed(url, other["token"], canaries["row"])
        key = root / "home/.config/clickpipe/key"
        own = {"admin token": ADMIN, "key": key.read_text().strip()}
        files = [*(root / path for path in _FILES), key]
        names = (
            *(str(path) for path in files),
            *(f"../{path}" for path in _FILES),
            "passwd",
            "~/.netrc",
            "/proc/self/environ",
        )
        foreign = f"ws_{other['id']}"
        outside = Outside(names, knocks.port, str(root / "out"), foreign)
        time.sleep(0.5)  # what ClickHouse writes of the other workspace's rows is written
        box = Sandbox(root, url, process, outside, {**canaries, **own}, Opened(files), knocks, other["token"])
        box.begin()
        yield box


@contextmanager
def _serving(root: Path, environment: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "clickpipe", "serve", "--data-dir", str(root / "data"), "--port", "0"]
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=root / "cwd", env={**python_environment(), **environment}, stdout=log, stderr=log, text=True
        )
    try:
        yield process, _address(process, root / "log")
    finally:
        process.terminate()
        process.wait(60)


def _address(process: subprocess.Popen[str], log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"on (http://\S+)", log.read_text()):
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def _made(url: str, name: str, token: str) -> dict[str, str]:
    reply = httpx.post(f"{url}/v1/workspaces?name={name}", headers={"Authorization": f"Bearer {token}"})
    assert reply.status_code == 200, reply.text
    made: dict[str, str] = reply.json()
    return made


def _deployed(url: str, token: str, row: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    text = "SCHEMA >\n    `val` String `json:$.val`\n"
    files = {"data_project://": ("datasources/other.datasource", text)}
    reply = httpx.post(f"{url}/v1/deploy?auto_promote=true", headers=headers, files=files, timeout=60)
    assert reply.json()["result"] == "success", reply.text
    reply = httpx.post(f"{url}/v0/events?name=other&wait=true", headers=headers, json={"val": row}, timeout=60)
    assert reply.status_code == 200, reply.text


def workspace(box: Sandbox, name: str) -> str:
    """Make a workspace with a secret; return its admin token."""
    token = _made(box.url, name, ADMIN)["token"]
    headers = {"Authorization": f"Bearer {token}"}
    data = {"name": "key", "value": box.canaries["secret"]}
    assert httpx.post(f"{box.url}/v0/variables", headers=headers, data=data).status_code == 200
    return token


def removed(box: Sandbox, name: str) -> None:
    """Remove a workspace."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    assert httpx.delete(f"{box.url}/v1/workspaces/{name}", headers=headers, timeout=60).status_code == 200
