"""Environments of clients: a venv or a folder of node modules each, made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from interop.clients import Client

CHECKS = Path(__file__).parent / "checks"


class Unreachable(Exception):
    """The registry cannot be asked from here, or a program is missing: the client is left out."""


class NotInstalled(Exception):
    """The registry can be asked, and the packages cannot be installed: that is a failure."""


class Environments:
    """The environments below one folder."""

    def __init__(self, folder: Path) -> None:
        """Find them there; make those that are asked for."""
        self._folder = folder
        self._reachable: dict[str, bool] = {}

    def command(self, client: Client) -> tuple[list[str], Path]:
        """Return the command that runs a client's checks, and its environment's folder.

        Raises Unreachable, NotInstalled.
        """
        missing = [name for name in client.programs if shutil.which(name) is None]
        if client.kind == "node":
            missing += [name for name in ("node", "npm") if shutil.which(name) is None]
        if missing:
            raise Unreachable(f"{', '.join(missing)} is not on this machine")
        key = hashlib.sha256(repr(client.packages).encode()).hexdigest()[:8]
        folder = self._folder / f"{client.name.strip('@').replace('/', '-').replace(' ', '-')}-{key}"
        if not (folder / ".made").exists():
            if not self._can_reach(client.kind):
                raise Unreachable(f"the registry of {client.kind} packages is not reachable")
            self._make(client, folder)
            (folder / ".made").touch()
        if client.kind == "python":
            return [str(folder / "bin" / "python"), str(CHECKS / client.script)], folder
        return self._node(client, folder), folder

    def _node(self, client: Client, folder: Path) -> list[str]:
        """Copy the checks beside the modules, where node looks for what they import."""
        for name in (client.script, "checks.mjs"):
            shutil.copy(CHECKS / name, folder / name)
        return ["node", str(folder / client.script)]

    def _make(self, client: Client, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if client.kind == "python":
            _run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, *client.packages])
            return
        (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        npm = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--loglevel=error"]
        _run([*npm, *client.packages])

    def _can_reach(self, kind: str) -> bool:
        """Ask a registry for one small package that is always there."""
        if kind not in self._reachable:
            probe = self._folder / "probe"
            probe.mkdir(parents=True, exist_ok=True)
            ask = (
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(probe), "idna"]
                if kind == "python"
                else ["npm", "view", "is-number", "version"]
            )
            done = subprocess.run(ask, capture_output=True, timeout=120, check=False, cwd=probe)
            self._reachable[kind] = done.returncode == 0
        return self._reachable[kind]


def _run(command: list[str]) -> None:
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)
    except subprocess.TimeoutExpired:
        message = f"{' '.join(command[:6])} … took more than 900 s"
        raise NotInstalled(message) from None
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout)[-2000:])
