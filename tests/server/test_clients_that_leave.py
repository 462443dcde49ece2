"""Clients that leave in the middle of their body are no bug: the log has no error of them."""

from __future__ import annotations

import logging
import re
import socket
import time

import pytest

from clickpipe.auth import ADMIN_TOKEN
from tests.server.conftest import Client

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
PARTS = b"Content-Type: multipart/form-data; boundary=x\r\n"
LEFT = {
    "/v0/sql": b"",
    "/v0/events?name=events": b"",
    "/v0/pipes/totals.json": b"",
    "/": b"",
    "/?query=SELECT+1": PARTS,
    "/v1/deploy": PARTS,
    "/v0/datasources?name=events": b"",
    "/v0/datasources?name=events&format=csv": PARTS,
    "/v0/datasources/events/delete": FORM,
    "/v1/environments": FORM,
    "/v0/tokens?name=x": b"",
    "/v0/variables": b"",
}


def left(client: Client) -> int:
    """Return how many requests the metrics count whose client has left."""
    found = re.findall(rb'clickpipe_requests_total{.*status="499"} ([\d.]+)', client.instance.metrics.text())
    return int(sum(map(float, found)))


@pytest.mark.parametrize("path", LEFT)
def test_who_leaves_in_the_middle_is_no_error(
    client: Client, port: int, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, token = left(client), client.token(ADMIN_TOKEN).value.encode()
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n%sContent-Length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head % (path.encode(), token, LEFT[path]) + b"--x\r\n")
        time.sleep(0.1)
    until = time.monotonic() + 60
    while left(client) == before and time.monotonic() < until:
        time.sleep(0.02)
    assert left(client) == before + 1
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []
