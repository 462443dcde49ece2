"""A wrong folder, a wrong scheme, no terminal: what is said then."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from clickpipe.cli.output import progress
from tests.cli.conftest import Run
from tests.conftest import python_environment

TABLE = "SCHEMA >\n    id String `json:$.id`\n\nENGINE_SORTING_KEY id\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "shop"
    for folder in ("datasources", "pipes"):
        (root / folder).mkdir(parents=True)
    (root / "datasources" / "e.datasource").write_text(TABLE)
    (root / "pipes" / "p.pipe").write_text("NODE n\nSQL >\n    SELECT id FROM e\nTYPE endpoint\n")
    return root


@pytest.mark.parametrize("command", ["check", "deploy", "dev"])
@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("datasources", "datasources is a folder of the project in {root}: run it there, or name that folder"),
        ("pipes", "pipes is a folder of the project in {root}: run it there, or name that folder"),
        ("pipes/p.pipe", "{root}/pipes/p.pipe is a file: name the project's folder, {root}"),
    ],
)
def test_a_part_of_a_project_is_no_project(project: Path, run: Run, command: str, place: str, said: str) -> None:
    found = run(command, project / place)
    assert (found.code, found.err.strip()) == (1, f"error: {said.format(root=project)}")


def test_here_is_looked_at_as_well(project: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "pipes")
    assert "is a folder of the project in" in run("deploy").err
    monkeypatch.chdir(project)
    assert run("check", "--no-cache").code == 0


@pytest.mark.parametrize("command", [("check",), ("deploy",), ("dev",), ("fmt",)])
def test_everything_is_no_project(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    """Nothing is read below the root, so that this is safe to run: `fmt` would write all projects of a machine."""
    monkeypatch.setattr("clickpipe.folder.paths.os.walk", lambda _: pytest.fail("it looked below the root"))
    for arguments in (command, (*command, "/")):
        monkeypatch.chdir("/")
        found = run(*arguments)
        assert (found.code, found.err.startswith("error: / is not a project folder")) == (1, True)


def test_a_home_is_formatted_only_when_it_is_named(
    run: Run, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    odd = "SCHEMA >\n  id   String\n"
    (project / "datasources" / "e.datasource").write_text(odd)
    assert "is not a project folder, and every project below it would be formatted" in run("fmt").err
    assert (project / "datasources" / "e.datasource").read_text() == odd
    assert run("fmt", tmp_path).code == 0
    assert (project / "datasources" / "e.datasource").read_text() != odd
    monkeypatch.chdir(project)
    assert run("fmt").code == 0


def test_what_is_a_project_of_its_own(project: Path, tmp_path: Path, run: Run) -> None:
    alone = tmp_path / "alone" / "pipes"
    alone.mkdir(parents=True)
    (alone / "e.datasource").write_text(TABLE)
    assert run("check", "--no-cache", alone).code == 0
    (project / "pipes" / "clickpipe.toml").write_text("")
    (project / "pipes" / "e.datasource").write_text(TABLE)
    assert run("check", "--no-cache", project / "pipes").code == 0


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server that speaks one scheme, and its port."""
    made = HTTPServer(("127.0.0.1", 0), _Healthy)
    if request.param == "https":
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        made.socket = context.wrap_socket(made.socket, server_side=True)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    made.handle_error = lambda *_: None  # type: ignore[method-assign]  # who speaks the other scheme
    thread.start()
    yield request.param, made.server_port
    made.shutdown()
    thread.join()
    made.server_close()


def test_the_wrong_scheme(run: Run, server: tuple[str, int]) -> None:
    scheme, port = server
    wrong = {"http": "https", "https": "http"}[scheme]
    said = run("datasource", "ls", "--host", f"{wrong}://127.0.0.1:{port}", "--token", "t")
    address = f"127.0.0.1:{port}"
    expected = f"error: the server at {address} speaks {scheme}, not {wrong}: name it as {scheme}://{address}\n"
    assert (said.code, said.err) == (1, expected)
    if scheme == "https":
        said = run("datasource", "ls", "--host", f"https://{address}", "--token", "t")
        assert "this machine does not trust the certificate of" in said.err


@pytest.mark.parametrize("status", [200, 404, 502])
@pytest.mark.parametrize("command", [("datasource", "ls"), ("sql", "SELECT 1"), ("token", "ls"), ("job", "ls")])
def test_a_server_that_is_another(run: Run, command: tuple[str, ...], status: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<html>It works</html>"
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_POST = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        said = run(*command, "--host", f"http://127.0.0.1:{made.server_port}", "--token", "t")
    finally:
        made.shutdown()
        thread.join()
        made.server_close()
    assert said.code == 1
    assert said.err.startswith(f"error: http://127.0.0.1:{made.server_port} answered with a web page")
    assert f"answered with a web page (status {status}" in said.err


@pytest.mark.parametrize("host", ["ftp://x", "file:///etc/passwd"])
def test_no_url_of_a_server(run: Run, host: str) -> None:
    said = run("datasource", "ls", "--host", host, "--token", "t")
    assert (said.code, "must begin with http:// or https://" in said.err) == (1, True)


@pytest.mark.parametrize(
    "arguments", [("check",), ("check", "--no-cache"), ("fmt", "--check"), ("generate", "openapi")]
)
def test_without_a_terminal_there_are_no_colours_and_nothing_is_written_over(
    project: Path, arguments: tuple[str, ...]
) -> None:
    (project / "pipes" / "bad.pipe").write_text("NODE n\nSQL >\n    SELECT nope FROM e\nTYPE endpoint\n")
    command = [sys.executable, "-m", "clickpipe", arguments[0], *arguments[1:], str(project)]
    done = subprocess.run(  # noqa: PLW1510 - whatever its code
        command, env=python_environment(), capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )
    assert not [byte for byte in done.stdout + done.stderr if byte < 32 and byte != 10]


def test_without_a_terminal_progress_does_not_pile_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("clickpipe.cli.output.time.monotonic", lambda: now[0])
    with progress() as tell:
        for second in range(12):
            now[0] += 1
            tell(f"{second} row{'' if second == 1 else 's'} in, {second / 10:.1f} MB")
        tell("writing")
        tell("writing")
    said = "0 rows in, 0.0 MB …\n5 rows in, 0.5 MB …\n10 rows in, 1.0 MB …\nwriting …\n"
    assert capsys.readouterr().err == said


def test_without_a_terminal_a_question_is_no(project: Path, server: tuple[str, int]) -> None:
    scheme, port = server
    command = ["datasource", "truncate", "e", "--host", f"{scheme}://127.0.0.1:{port}", "--token", "t"]
    done = subprocess.run(  # noqa: PLW1510 - its code is what is tested
        [sys.executable, "-m", "clickpipe", *command],
        env=python_environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        cwd=project,
        timeout=60,
    )
    said = b"error: Remove all rows of e? There is no terminal to answer on: use --yes to confirm.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)
