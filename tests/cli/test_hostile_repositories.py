"""A project that is somebody else's: its links and files have no command show, send or write what lies elsewhere."""

from __future__ import annotations

import http.server
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clickpipe.cli import main
from clickpipe.config import ServerAddress, find_address, require_inside
from clickpipe.diagnostics import ClickpipeError

SOURCE = "SCHEMA >\n    k String `json:$.k`\n\nENGINE MergeTree\nENGINE_SORTING_KEY k\n"
PIPE = 'NODE n\nSQL >\n    %\n    SELECT k AS s FROM events UNION ALL SELECT {{tb_secret("key")}} AS s\nTYPE endpoint\n'
NAME = "elsewhere.example"
CANARY = "what-nobody-else-is-to-see"
# What a project may bring as a link, and what a file of the host would have to be called to be read as that.
LINKS = (
    *(".env", ".env.local", "fixtures/events.ndjson", "fixtures/events.csv", "fixtures/events.sql"),
    *("datasources/fixtures/events.ndjson", "tests/p.yaml", "tests/p.yml", "tests/p.test", "tests/q.test.result"),
    *("clickpipe.toml", "datasources/events.datasource", "pipes/p.pipe", "datasources/more.incl"),
)
TEXTS = {
    "env": f"key={CANARY}\n",
    "ndjson": f'{{"k":"{CANARY}"}}\n',
    "csv": f"k\n{CANARY}\n",
    "sql": f"SELECT '{CANARY}' AS k\n",
    "yaml": f"- name: {CANARY}\n  expected_result: '{CANARY}'\n",
    "test": f"tb sql \"SELECT '{CANARY}' AS k\" --format CSV\n",
    "toml": f'data_dir = "{CANARY}"\n',
    "plain": f"{CANARY}\n",
}
COMMANDS = (
    *(("check", "--no-cache", "--all"), ("check",), ("check", "--format", "json"), ("check", "--summary"), ("test",)),
    *(("test", "--format", "json"), ("test", "update", "p"), ("fmt", "--diff"), ("fmt",), ("mock", "events")),
    *(("generate", "openapi"), ("render", "p"), ("test", "create", "p", "--name", "new")),
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    for folder in (".git", "datasources/fixtures", "pipes", "tests", "fixtures"):
        (root / folder).mkdir(parents=True)
    (root / "datasources/events.datasource").write_text(SOURCE)
    (root / "pipes/p.pipe").write_text(PIPE)
    (root / "tests/p.yaml").write_text("- name: a\n  expected_result: ''\n")
    (root / "tests/q.test").write_text("tb sql 'SELECT k FROM events' --format CSV\n")
    (root / ".env").write_text("key=own\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return root


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _kinds(link: str) -> list[str]:
    """Return which texts could be read where a link stands."""
    own = {".ndjson": "ndjson", ".csv": "csv", ".sql": "sql", ".yaml": "yaml", ".yml": "yaml", ".test": "test"}
    return ["plain", own.get(Path(link).suffix, "env" if link.startswith(".env") else "toml")]


CASES = [(link, kind) for link in LINKS for kind in _kinds(link)]


@pytest.mark.parametrize(("link", "kind"), CASES)
def test_no_link_shows_or_changes_a_file_of_the_host(
    project: Path, tmp_path: Path, link: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "private").write_text(TEXTS[kind])
    before = snapshot(host)
    path = project / link
    path.unlink(missing_ok=True)
    path.symlink_to(os.path.relpath(host / "private", path.parent))
    for command in COMMANDS:
        run(*command)
        told = capsys.readouterr()
        assert CANARY not in told.out + told.err, command
    assert snapshot(host) == before
    assert CANARY not in "".join(p.read_text() for p in project.rglob("*") if p.is_file() and not p.is_symlink())


def test_a_datafile_of_another_project_is_not_formatted(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pipe"
    other.write_text("NODE    n\nSQL >\n  SELECT 1 AS a\n")
    before = other.read_bytes()
    (project / "pipes/linked.pipe").symlink_to(other)
    assert run("fmt") == 1
    assert "is a link to a file outside the project" in capsys.readouterr().err
    assert other.read_bytes() == before


@pytest.mark.parametrize("folder", ["fixtures", "tests", "datasources/fixtures"])
def test_no_folder_does_either(project: Path, tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    host = tmp_path / "host"
    host.mkdir()
    names = {"events.ndjson": "ndjson", "p.yaml": "yaml", "p.test": "test", "q.test.result": "plain"}
    for name, kind in names.items():
        (host / name).write_text(TEXTS[kind])
    before = snapshot(host)
    for path in (project / folder).iterdir():
        path.unlink()
    (project / folder).rmdir()
    (project / folder).symlink_to(host)
    for command in COMMANDS:
        run(*command)
        told = capsys.readouterr()
        assert CANARY not in told.out + told.err, command
    assert snapshot(host) == before


@pytest.mark.parametrize("link", [".clickpipe", ".clickpipe/cache"])
def test_the_cache_of_a_check_is_in_the_project(
    project: Path, tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = tmp_path / "host"
    (host / "cache").mkdir(parents=True)
    for folder in (host, host / "cache"):
        for name in ("check-list.txt", "new-things", "index.json", "files.json"):
            (folder / name).write_text("mine")
            os.utime(folder / name, (1e9, 1e9))
    before = snapshot(host)
    (project / link).parent.mkdir(exist_ok=True)
    (project / link).symlink_to(host)
    assert run("check") == 0
    assert run("check") == 0
    capsys.readouterr()
    assert snapshot(host) == before


def test_links_within_a_repository_are_followed(project: Path, tmp_path: Path) -> None:
    inner = project / "shop"
    inner.mkdir()
    (inner / ".env").symlink_to("../.env")
    assert require_inside(inner, inner / ".env").read_text() == "key=own\n"
    assert require_inside(inner, inner / "absent") == inner / "absent"
    (inner / "out").symlink_to(tmp_path)
    for path in (inner / "out", inner / "out/repository/../x", inner / "../../x"):
        with pytest.raises(ClickpipeError, match="is a link to a file outside"):
            require_inside(inner, path)


def test_a_home_that_is_kept_in_git_is_no_repository_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".git").mkdir(parents=True)
    (home / "shop").mkdir()
    (home / ".aws").write_text(CANARY)
    (home / "shop/.env").symlink_to("../.aws")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ClickpipeError, match="is a link to a file outside"):
        require_inside(home / "shop", home / "shop/.env")


@dataclass
class Listener:
    """A server of somebody else's."""

    url: str
    told: list[str] = field(default_factory=list)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.told.append(f"{self.command} {self.path} {self.headers}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        do_POST = do_GET  # noqa: N815 - the name that is looked for

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    asked = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **how: asked("127.0.0.1" if host == NAME else host, *more, **how)
    )
    found = Listener(f"http://{NAME}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("place", [".clickpipe", ".", "data/deep"])
def test_no_project_says_where_tokens_are_sent(
    project: Path, listener: Listener, place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if place != ".clickpipe":
        (project / "clickpipe.toml").write_text(f'data_dir = "{place}"\n')
    (project / place).mkdir(parents=True, exist_ok=True)
    (project / place / "server.json").write_text(json.dumps({"url": listener.url, "token": "theirs"}))
    monkeypatch.delenv("CLICKPIPE_HOST", raising=False)
    for token in ("", CANARY):
        if token:
            monkeypatch.setenv("CLICKPIPE_TOKEN", token)
        for command in (("sql", "SELECT 1"), ("deploy",), ("workspace",), ("token", "ls"), ("secret", "ls")):
            run(*command)
            assert CANARY not in "".join(capsys.readouterr())
    assert listener.told == []


ELSEWHERE = (
    *("http://203.0.113.9:7181", "https://example.com", "http://[2001:db8::1]:7181", "http://127.0.0.1@example.com"),
    *("http://elsewhere.localhost:7181", "http://127.0.0.1.example.com", "http://0x7f.1:7181", "http://2130706433"),
    *("//", "", "http://[::ffff:203.0.113.9]", "http://local\x00host"),
)


@pytest.mark.parametrize("url", ELSEWHERE)
def test_an_address_elsewhere_is_none(tmp_path: Path, url: str) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": url, "token": "theirs"}))
    assert find_address(tmp_path) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.0.0.53"])  # noqa: S104 - nothing listens
def test_an_address_of_this_machine_is_one(tmp_path: Path, host: str) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": f"http://{host}:7181", "token": "own"}))
    assert find_address(tmp_path) == ServerAddress(f"http://{host}:7181", "own")
