"""The list of ways out (ways_out.txt): none succeeds, through any door that takes SQL."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import EVENTS, FILES, Client

SECRET = "canary-5f1d7a"
LINES = [
    line
    for line in Path(__file__).with_name("ways_out.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


class Listener:
    """A port that counts who calls."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ways(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Client, list[str]]]:
    """The list, its names filled in; afterwards nobody has called, and no file was written."""
    monkeypatch.setenv("CLICKPIPE_SECRET_KEY", SECRET)
    file = tmp_path / "secret.txt"
    file.write_text(SECRET, encoding="utf-8")
    listener = Listener()
    other = client.instance.workspaces.create("with_secrets")
    other.deploy({"events.datasource": EVENTS})
    other.ingest("events", [{"id": SECRET, "amount": 1, "at": "2026-01-01 00:00:00"}])
    names = {
        "{file}": str(file),
        "{port}": str(listener.port),
        "{other}": other.queries.live().physical.tables["events"],
        "{own}": client.workspace.queries.live().physical.tables["events"],
        "{database}": client.workspace.database,
    }
    lines = []
    for line in LINES:
        text = line
        for name, value in names.items():
            text = text.replace(name, value)
        lines.append(text)
    yield client, lines
    assert client.workspace.sql("SELECT count() AS c FROM events") == [{"c": 3}]
    assert other.sql("SELECT count() AS c FROM events") == [{"c": 1}]
    assert listener.calls == 0
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]
    client.instance.workspaces.delete(other)
    listener.close()


def refuse(response: Any, what: str) -> None:
    assert response.status_code in {400, 403, 404}, f"{what}: {response.status_code} {response.text[:200]}"
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]
    assert SECRET not in response.text


def test_there_are_many() -> None:
    assert len(set(LINES)) >= 290


def test_through_the_query_api(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    for line in lines:
        refuse(client("POST", "/v0/sql", content=line.encode()), line)


def test_over_an_endpoint(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    for line in lines:
        refuse(client("POST", "/v0/pipes/totals.json", data={"q": line}), line)


def test_as_clickhouses_clients_ask(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    key = {"X-ClickHouse-Key": client.token("workspace admin token").value}
    # What is answered with what the workspace is, not with what the engine has:
    own = re.compile(
        r"(SHOW|DESCRIBE|EXISTS|EXPLAIN|USE|SET)\b|SELECT (host|current|user|DATABASE)|.*information_schema\W|"
        r".*system(/\*\*/|\W)*\.\W*(tables|columns|databases|settings)\b",
        re.IGNORECASE,
    )
    for line in lines:
        answer = client("POST", "/", token=None, headers=key, content=line.encode())
        assert SECRET not in answer.text
        if answer.status_code == 200:
            assert own.match(line), line
            assert client.workspace.database not in answer.text
        else:
            assert answer.headers["x-clickhouse-exception-code"], line


def test_in_conditions_and_filters(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    selects = [line for line in lines if line.startswith(("SELECT", "FROM", "WITH", "("))]
    for line in selects:
        condition = f"id IN ({line})"
        answer = client(
            "POST", "/v0/datasources/events/delete", params={"delete_condition": condition, "dry_run": "true"}
        )
        refuse(answer, condition)
        scope = f"DATASOURCES:READ:events:{condition}"
        refuse(client("POST", "/v0/tokens", params={"name": "x", "scope": scope}), scope)
    for line in [*selects, "1) OR (1", "1; SELECT 1", "id = 'a' SETTINGS max_threads = 1", "1 FORMAT CSV", "1, 2"]:
        params = {"mode": "replace", "name": "events", "replace_condition": line, "format": "ndjson"}
        refuse(client("POST", "/v0/datasources", params=params, content=b'{"id":"x","amount":1,"at":0}'), line)


def test_as_the_value_of_a_parameter(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    for line in lines:
        response = client("POST", "/v0/pipes/totals.json", data={"ids": f"' OR {line}"})
        assert response.json()["data"] == []
        refuse(client("POST", "/v0/pipes/totals.json", data={"limit": line}), line)


def test_as_a_node(ways: tuple[Client, list[str]]) -> None:
    client, lines = ways
    for line in [line for line in lines if "tb_secret" not in line][::7]:  # an author's templates may ask for secrets
        pipe = f"NODE n\nSQL >\n    {line}\nTYPE endpoint\n"
        answer = client(
            "POST",
            "/v1/deploy?auto_promote=true&check=true",
            files=[("data_project://", (name, text)) for name, text in (FILES | {"pipes/out.pipe": pipe}).items()],
        )
        assert answer.status_code >= 400 or answer.json().get("result") == "failed", line
        assert SECRET not in answer.text
