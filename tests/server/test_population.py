"""Materialized views populated on demand, as clients of the original ask for it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.server.conftest import FILES, Client
from tests.server.test_metadata import VIEW


@pytest.fixture
def viewed(client: Client) -> Client:
    """A view whose target lost its rows."""
    client.workspace.deploy({**FILES, **VIEW})
    client("POST", "/v0/datasources/sums/truncate")
    return client


def populate(client: Client, query: str = "", node: str = "n") -> dict[str, Any]:
    reply = client("POST", f"/v0/pipes/sums_mv/nodes/{node}/population?{query}")
    assert reply.status_code == 200, reply.text
    job = reply.json()["job"]
    assert job["job_url"].endswith(f"/v0/jobs/{job['id']}")
    client.instance.jobs.wait(job["id"])
    found: dict[str, Any] = client("GET", f"/v0/jobs/{job['id']}").json()
    return found


def sums(client: Client) -> list[tuple[str, int]]:
    rows = client.workspace.sql("SELECT id, sum(total) AS total FROM sums GROUP BY id ORDER BY id")
    return [(row["id"], row["total"]) for row in rows]


def test_a_target_gets_what_the_view_makes_of_its_source(viewed: Client) -> None:
    assert sums(viewed) == []
    job = populate(viewed, "truncate=true&unlink_on_populate_error=false")
    assert (job["status"], job["kind"], job["rows"]) == ("done", "populateview", 2), job
    assert sums(viewed) == [("a", 4), ("b", 2)]
    assert sums(viewed) == [("a", 4), ("b", 2)]
    populate(viewed, "truncate=false")
    assert sums(viewed) == [("a", 8), ("b", 4)]
    node = next(p for p in viewed("GET", "/v0/pipes").json()["pipes"] if p["name"] == "sums_mv")["nodes"][0]["id"]
    populate(viewed, "truncate=true", node)
    assert sums(viewed) == [("a", 4), ("b", 2)]
    left = "SELECT count() AS n FROM system.tables WHERE name LIKE '%_populate_%'"
    assert json.loads(viewed.instance.engine.execute(left, output="JSONCompact").body)["data"] == [[0]]


def test_a_condition_or_a_part_chooses_rows(viewed: Client) -> None:
    assert populate(viewed, "truncate=true&populate_condition=amount%20%3E%201")["rows"] == 2
    assert sums(viewed) == [("a", 3), ("b", 2)]
    assert populate(viewed, "truncate=true&populate_subset=0.000000001")["rows"] == 0
    for query in ("populate_condition=nope%20%3D%201", "populate_condition=1)%20OR%20(1"):
        reply = viewed("POST", f"/v0/pipes/sums_mv/nodes/n/population?{query}")
        status = reply.status_code
        if status == 200:  # found while it runs
            viewed.instance.jobs.wait(reply.json()["job"]["id"])
            job = viewed("GET", f"/v0/jobs/{reply.json()['job']['id']}").json()
            assert (job["status"], "nope" in job["error"]) == ("error", True)
        else:
            assert status == 400


def test_rows_that_arrive_meanwhile_count_once(viewed: Client) -> None:
    row = '{"id":"a","amount":1,"at":"2026-03-01 00:00:00"}'
    stop = threading.Event()
    sent = 0

    def send() -> None:
        nonlocal sent
        while not stop.is_set():
            assert viewed("POST", "/v0/events?name=events&wait=true", content=row).status_code == 200
            sent += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(5):
            assert populate(viewed, "truncate=true")["status"] == "done"
    finally:
        stop.set()
        sender.join()
    assert sent > 0
    assert sums(viewed) == [("a", 4 + sent), ("b", 2)]


@pytest.mark.parametrize(
    ("path", "status", "part"),
    [
        ("nothing/nodes/n", 404, "does not exist"),
        ("sums_mv/nodes/nothing", 404, "has no node"),
        ("totals/nodes/totals", 400, "not a materialized view"),
        ("sums_mv/nodes/n", 400, "populate_subset"),
    ],
)
def test_what_cannot_be_populated(viewed: Client, path: str, status: int, part: str) -> None:
    reply = viewed("POST", f"/v0/pipes/{path}/population?populate_subset={'2' if 'subset' in part else '1'}")
    assert (reply.status_code, part in reply.json()["error"]) == (status, True), reply.text
