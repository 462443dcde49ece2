"""What a terminal is sent: no project, row or server gives it commands."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clickpipe.cli.terminal import without_commands
from tests.conftest import python_environment

COMMANDS = (
    "\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b[2J",
    "\x1b[1A\x1b[2K",
    "\x1b[8mhidden",
    "\x1b[30;40mhidden",
    "\x1b[38;5;0mhidden",
    "\x1b[0;8m",
    "\x9b2J",
    "\x1bc",
    "\x1bP+q\x1b\\",
    "a\rb",
    "a\bb",
    "\x00\x07\x0e\x7f",
    "\u202eevil",
    "\u2066evil",
    "\x1b[\x1b[0m2J",
)
ALL = "".join(COMMANDS)


@pytest.mark.parametrize("text", COMMANDS)
def test_commands_are_shown(text: str) -> None:
    shown = without_commands(text).replace("\x1b[0m", "")
    assert shown.replace("\n", "").replace("\t", "").isprintable()
    assert without_commands(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\tb\n",
        "a\r\n",
        "\r\x1b[K12 rows …",
        "\x1b[31m\x1b[1merror\x1b[0m: ✓",
        "\x1b[1;31mx\x1b[m",
        "עברית a 日本",
    ],
)
def test_text_and_colours_stay(text: str) -> None:
    assert without_commands(text) == text


class Server(http.server.ThreadingHTTPServer):
    """Answers whatever is asked with commands to a terminal."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        status, body = 200, b""
        asked = self.path.encode() + self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/v0/jobs"):
            status, body = 400, json.dumps({"error": ALL}).encode()
        elif b"CSV" in asked:
            body = ALL.encode()
        else:
            rows: dict[str, Any] = {"meta": [{"name": ALL, "type": ALL}], "data": [{ALL: ALL}], "rows": 1}
            body = json.dumps({**rows, "plan": [ALL], "datasources": [], "pipes": []}, ensure_ascii=False).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def on_terminal(folder: Path, *command: str) -> str:
    import pty

    leader, follower = pty.openpty()
    environment = python_environment() | {"TERM": "xterm", "COLUMNS": "200"}
    shown = b""
    whole = [sys.executable, "-m", "clickpipe", *command]
    with subprocess.Popen(whole, cwd=folder, stdin=follower, stdout=follower, stderr=follower, env=environment):
        os.close(follower)
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(leader, 65_536):
                shown += part
    os.close(leader)
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("sql", "SELECT 1"),
        ("sql", "--format", "csv", "SELECT 1"),
        ("sql", "--json", "SELECT 1"),
        ("explain", "p"),
        ("job", "ls"),
        ("fmt", "--check"),
    ],
)
def test_no_command_gets_to_the_terminal(tmp_path: Path, server: Server, command: tuple[str, ...]) -> None:
    (tmp_path / "t.datasource").write_text(f"SCHEMA >\n    `x` {ALL} UInt64\n", encoding="utf-8")
    (tmp_path / "p.pipe").write_text(
        f"NODE n\nSQL >\n    SELECT {ALL} 1 AS `{ALL}`\n\nTYPE endpoint\n", encoding="utf-8"
    )
    remote = () if command[0] in {"check", "fmt"} else ("--host", server.url, "--token", "t")
    shown = on_terminal(tmp_path, *command, *remote)
    assert "hidden" in shown, shown
    assert "\\x1b]0;title" in shown or "\\u001b]0;title" in shown
    assert without_commands(shown) == shown
    assert "bug in clickpipe" not in shown
