"""`clickpipe dev` and `clickpipe serve` from start to end, in processes of their own."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import ADMIN_TOKEN, Run, start
from tests.conftest import ROOT, python_environment

pytestmark = pytest.mark.slow


def ask(url: str, path: str, token: str = ADMIN_TOKEN) -> Any:
    return httpx.get(url + path, headers={"Authorization": f"Bearer {token}"}).raise_for_status().json()


def copy_example(folder: Path) -> Path:
    for part in ("datasources", "pipes", "fixtures"):
        for path in sorted((ROOT / part).iterdir()):
            if path.is_file():
                (folder / part).mkdir(exist_ok=True)
                (folder / part / path.name).write_bytes(path.read_bytes())
    return folder


def test_dev_serves_the_example_and_its_lines_work_when_pasted(tmp_path: Path) -> None:
    with start("dev", cwd=copy_example(tmp_path)) as dev:
        dev.read_until("snapshot_sessions/copy")
        assert (
            "loaded fixtures/clickstream_events.ndjson into clickstream_events: 3,000 rows, 10 to quarantine ("
            in dev.printed
        )
        lines = [line.strip() for line in dev.printed.splitlines() if line.strip().startswith("curl ")]
        answers = {}
        for line in lines:
            done = subprocess.run([*shlex.split(line), "-sS", "--fail"], capture_output=True, text=True, check=True)
            answers[line] = json.loads(done.stdout)
        assert [a["successful_rows"] for a in answers.values() if "successful_rows" in a] == [1]
        assert sum("data" in a for a in answers.values()) == 5
        assert dev.stop() == 0
    assert not (tmp_path / ".clickpipe/server.json").exists()


def test_dev_keeps_data_and_deploys_what_is_saved(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", tmp_path)
    pipe = tmp_path / "pipes/top_pages.pipe"
    text = pipe.read_text()
    with start("dev", cwd=tmp_path) as dev:
        dev.read_until("events?name=")
        pipe.write_text(text.replace("ORDER BY views DESC", "ORDER BY views ASC"))
        dev.read_until("~top_pages")
        first = json.loads(run("endpoint", "data", "top_pages", "--json").out)
        pipe.write_text(text.replace("uniq(visitor)", "unq(visitor)"))
        assert "pipes/top_pages.pipe:9:36: error[CP4004]" in dev.read_until("error[")
        dev.read_until("the previous deployment keeps answering")
        assert json.loads(run("endpoint", "data", "top_pages", "--json").out) == first
        (tmp_path / "other.pipe").write_text("NODE n\nSQL >\n    SELECT 1 AS one\nTYPE endpoint\n")
        (tmp_path / "datasources/page_views.datasource").unlink()
        pipe.unlink()
        dev.read_until("'page_views' (5 rows) would be deleted")
    with start("dev", "--allow-destructive-operations", cwd=tmp_path):
        assert json.loads(run("datasource", "ls", "--json").out) == []


def test_dev_takes_no_messages_from_others_unless_it_is_told_to(tmp_path: Path) -> None:
    connection = "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS 127.0.0.1:1\nKAFKA_SECURITY_PROTOCOL PLAINTEXT\n"
    source = "SCHEMA >\n    a String `json:$.a`\n\nKAFKA_CONNECTION_NAME broker\nKAFKA_TOPIC t\nKAFKA_GROUP_ID g\n"
    (tmp_path / "broker.connection").write_text(connection)
    (tmp_path / "clicks.datasource").write_text(source)
    with start("dev", cwd=tmp_path) as dev:
        dev.read_until("Ctrl-C stops the server")
        assert "reads topics with --with-connections" in dev.printed
        assert dev.stop() == 0
    with start("dev", "--with-connections", cwd=tmp_path) as dev:
        dev.read_until("Ctrl-C stops the server")
        assert "--with-connections" not in dev.printed
        dev.read_until("127.0.0.1:1")  # where nobody answers
        assert dev.stop() == 0


def test_dev_starts_with_a_broken_project_and_mends(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("init", tmp_path)
    pipe = tmp_path / "pipes/top_pages.pipe"
    text = pipe.read_text()
    pipe.write_text(text.replace("FROM page_views", "FROM page_vews"))
    with start("dev", cwd=tmp_path) as dev:
        assert "did you mean 'page_views'?" in dev.printed
        pipe.write_text(text)
        dev.read_until("+page_views, +top_pages")
        assert run("endpoint", "data", "top_pages").code == 0


def test_serve_prints_the_token_it_made_once(tmp_path: Path) -> None:
    with start("serve", "--data-dir", "data", cwd=tmp_path) as first:
        token = first.read_until("admin token").split()[-1]
        assert ask(first.url, "/v0/pipes", token) == {"pipes": []}
        assert first.stop(signal.SIGTERM) in {0, -signal.SIGTERM}
    with start("serve", "--data-dir", "data", cwd=tmp_path) as second:
        assert ask(second.url, "/v0/pipes", token) == {"pipes": []}
        second.stop()
        assert token not in second.printed


def refused(*args: str | Path) -> str:
    """What a `clickpipe serve` says that cannot start, in a process of its own: an engine has one folder."""
    command = [sys.executable, "-m", "clickpipe", "serve", *map(str, args)]
    done = subprocess.run(  # noqa: PLW1510 - its code is what is tested
        command, env=python_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_one_process_holds_a_data_folder(tmp_path: Path) -> None:
    with start("serve", "--data-dir", "data", cwd=tmp_path) as server:
        said = refused("--data-dir", tmp_path / "data", "--port", "0")
        assert f"is in use by another clickpipe (process {server.popen.pid})" in said


def test_a_port_that_is_taken_is_found_before_anything_is_opened_or_deployed(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "Cannot listen on 127.0.0.1" in refused("--data-dir", tmp_path / "other", "--port", port)
        project = tmp_path / "project"
        assert run("init", project).code == 0
        said = run("dev", project, "--port", port, "--data-dir", tmp_path / "other")
        assert (said.code, said.out) == (1, "")
        assert "Is another clickpipe running? Use --port." in said.err
        assert not (tmp_path / "other").exists()
        monkeypatch.setenv("CLICKPIPE_CLICKHOUSE_PORT", port)
        told = run("serve", "--data-dir", tmp_path / "other", "--port", "0").err
        assert "Is another clickpipe running? Use the setting clickhouse_port." in told
    monkeypatch.delenv("CLICKPIPE_CLICKHOUSE_PORT")
    for host in ("192.0.2.1", "nowhere.invalid"):
        told = run("serve", "--data-dir", tmp_path / "other", "--host", host).err
        assert ("Cannot listen on" in told, "The host must be an address of this machine" in told) == (True, True)


def test_kill_9_loses_neither_the_deployment_nor_an_event(tmp_path: Path, run: Run) -> None:
    options = ("serve", "--data-dir", "data")
    environment = {"CLICKPIPE_ADMIN_TOKEN": ADMIN_TOKEN}
    sent = 0
    for _ in range(3):
        with start(*options, cwd=tmp_path, **environment) as server:
            target = ("--host", server.url, "--token", ADMIN_TOKEN)
            assert run("deploy", ROOT, *target).code == 0
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            stop = time.monotonic() + 1
            while time.monotonic() < stop:
                event = {"event_id": f"e{sent}", "user_id": "u", "session_id": "s", "event_type": "page_view"}
                event |= {"page_url": "/", "page_title": "t", "referrer": "", "timestamp": "2023-01-01 00:00:00"}
                event |= {"device_type": "d", "browser": "b", "properties": "{}"}
                reply = httpx.post(f"{server.url}/v0/events?name=clickstream_events", json=event, headers=headers)
                assert reply.status_code == 202
                sent += 1
            server.stop(signal.SIGKILL)
    with start(*options, cwd=tmp_path, **environment) as server:
        count = "SELECT count() AS n, uniqExact(event_id) AS u FROM clickstream_events"
        assert ask(server.url, f"/v0/sql?q={count}")["data"] == [{"n": sent, "u": sent}]
        views = ask(server.url, "/v0/pipes/get_daily_pages.json")["data"]
        assert [row["views"] for row in views] == [sent]


def test_clients_that_send_less_than_they_say_or_slowly_are_no_ones_concern(tmp_path: Path, run: Run) -> None:
    row = json.dumps({"id": "a", "n": 1}).encode()
    (tmp_path / "events.datasource").write_text("SCHEMA >\n    id String,\n    n Int32\n")

    def head(length: object) -> bytes:
        start = f"POST /v0/events?name=events&wait=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
        return f"{start}Content-Length: {length}\r\n\r\n".encode()

    with start("serve", "--data-dir", "data", cwd=tmp_path, CLICKPIPE_ADMIN_TOKEN=ADMIN_TOKEN) as server:
        address = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
        target = ("--host", server.url, "--token", ADMIN_TOKEN)
        assert run("deploy", tmp_path, *target).code == 0
        with socket.create_connection(address) as short:
            short.sendall(head(1000) + row)  # and it hangs up
        with socket.create_connection(address) as wrong:
            wrong.sendall(head("many") + row)
            assert wrong.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(address) as slow:
            slow.sendall(head(len(row)) + row[:5])
            headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
            for _ in range(3):  # while the slow one is not through
                reply = httpx.post(f"{server.url}/v0/events?name=events&wait=true", content=row, headers=headers)
                assert reply.json() == {"successful_rows": 1, "quarantined_rows": 0}
            slow.sendall(row[5:])
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        rows = json.loads(run("sql", "SELECT count() AS n FROM events", "--json", *target).out)
        assert rows == [{"n": 4}]


ENDLESS = "id IN (SELECT number FROM endless)"
ENDLESS_PIPE = """NODE n
SQL >
    SELECT number FROM numbers(1000000000000) WHERE sipHash64(number) = 1
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("POST", "/v0/datasources", {"name": "e", "mode": "replace", "format": "ndjson", "replace_condition": ENDLESS}),
        ("POST", "/v1/datasources/e/delete", {"wait": "true", "delete_condition": ENDLESS}),
        ("POST", "/v0/datasources/e/delete", {"dry_run": "true", "delete_condition": ENDLESS}),
        ("GET", "/v0/sql", {"q": f"SELECT count() FROM e WHERE {ENDLESS}"}),
    ],
)
def test_what_takes_long_holds_neither_events_nor_the_servers_end(
    tmp_path: Path, run: Run, method: str, path: str, params: dict[str, str]
) -> None:
    (tmp_path / "e.datasource").write_text("SCHEMA >\n    id UInt64 `json:$.id`\n\nENGINE_SORTING_KEY id\n")
    (tmp_path / "endless.pipe").write_text(ENDLESS_PIPE)
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    environment = {"CLICKPIPE_ADMIN_TOKEN": ADMIN_TOKEN, "CLICKPIPE_QUERY_MAX_SECONDS": "60"}
    with start("serve", "--data-dir", "data", cwd=tmp_path, **environment) as server, ThreadPoolExecutor(1) as pool:
        assert run("deploy", tmp_path, "--host", server.url, "--token", ADMIN_TOKEN).code == 0
        content = b'{"id": 1}\n' if method == "POST" and "mode" in params else b""
        asked = pool.submit(
            httpx.request, method, f"{server.url}{path}", params=params, headers=headers, content=content, timeout=60
        )
        time.sleep(1.5)
        assert not asked.done()
        sent = httpx.post(f"{server.url}/v0/events?name=e&wait=true", json={"id": 7}, headers=headers, timeout=10)
        assert (sent.status_code, sent.json()["successful_rows"]) == (200, 1)
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) in {0, -signal.SIGTERM}
        assert time.monotonic() - began < 20
        answer = asked.result()
        assert (answer.status_code, "The server is stopping" in answer.text) == (503, True)
        assert "Traceback" not in server.printed


def test_a_stop_ends_in_the_time_it_has_and_keeps_what_was_acknowledged(tmp_path: Path, run: Run) -> None:
    (tmp_path / "e.datasource").write_text("SCHEMA >\n    id UInt64 `json:$.id`\n\nENGINE_SORTING_KEY id\n")
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    environment = {"CLICKPIPE_ADMIN_TOKEN": ADMIN_TOKEN, "CLICKPIPE_INGEST_FLUSH_SECONDS": "600"}
    short = {"CLICKPIPE_STOP_SECONDS": "0.5"}  # a request under way has a second

    def endless(stop: threading.Event) -> Iterator[bytes]:
        while not stop.wait(0.05):
            yield b" "

    stop = threading.Event()
    with (
        start("serve", "--data-dir", "data", cwd=tmp_path, **environment, **short) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        assert run("deploy", tmp_path, "--host", server.url, "--token", ADMIN_TOKEN).code == 0
        sent = httpx.post(f"{server.url}/v0/events?name=e", json={"id": 7}, headers=headers, timeout=60)
        assert sent.status_code == 202
        url = f"{server.url}/v0/events?name=e"
        under_way = pool.submit(httpx.post, url, content=endless(stop), headers=headers, timeout=60)
        time.sleep(0.5)
        assert server.stop(signal.SIGTERM) == 0
        stop.set()
        assert isinstance(under_way.exception(60), httpx.HTTPError)
        assert "stopped after 0.5 s (stop_seconds) with work under way" in server.printed
    with start("serve", "--data-dir", "data", cwd=tmp_path, **environment) as server:
        params = {"q": "SELECT groupArray(id) AS ids FROM e FORMAT JSON"}
        found = httpx.get(f"{server.url}/v0/sql", params=params, headers=headers, timeout=60).json()
        assert found["data"] == [{"ids": [7]}]
        assert server.stop(signal.SIGTERM) in {0, -signal.SIGTERM}
        assert "stop_seconds" not in server.printed
