"""What connections hold in memory, over a real socket: clients that never read, or never end, close only their own."""

from __future__ import annotations

import contextlib
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.config import Settings
from clickpipe.runtime import Instance, Workspace
from clickpipe.server import serve_in_thread
from clickpipe.server.memory import ConnectionMemory

LARGE = "NODE n\nSQL >\n    SELECT repeat('x', 1000000) AS a, number FROM numbers(12)\n\nTYPE endpoint\n"
MOST = 30_000_000
MANY = 8  # connections, each with more than what the system's own buffers hold
BODY = 9_000_000


@dataclass(frozen=True)
class Tenant:
    port: int
    token: bytes

    def connect(self, request: bytes, *, auth: bool = True) -> socket.socket:
        found = socket.socket()
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.settimeout(60)
        found.connect(("127.0.0.1", self.port))
        bearer = b"Authorization: Bearer %s\r\n" % self.token if auth else b""
        line, rest = request.split(b"\r\n", 1)
        found.sendall(line + b"\r\nHost: a\r\nConnection: close\r\n" + bearer + rest)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Instance, int]]:
    """A server with a small limit, and its port."""
    settings = Settings(connections_max_memory_bytes=MOST)
    with Instance(None, settings) as instance, serve_in_thread(instance) as url:
        instance.default.deploy({"large.pipe": LARGE})
        yield instance, int(url.rsplit(":", 1)[1])


@pytest.fixture
def tenants(server: tuple[Instance, int]) -> tuple[Tenant, Tenant]:
    """Two workspaces. One is new for each test: what the last test's connections held may not be dropped yet."""
    instance, port = server
    other = instance.workspaces.create(f"other_{uuid.uuid4().hex[:8]}")
    other.deploy({"large.pipe": LARGE})

    def tenant(workspace: Workspace) -> Tenant:
        found = next(t for t in instance.catalog.tokens.all(workspace.id) if t.name == ADMIN_TOKEN)
        return Tenant(port, found.value.encode())

    return tenant(instance.default), tenant(other)


def is_whole(connection: socket.socket) -> bool:
    """Read what comes; return whether the response is complete."""
    blocks = []
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with contextlib.suppress(ConnectionError), connection:
        while block := connection.recv(1 << 20):
            blocks.append(block)
    head, _, body = b"".join(blocks).partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) == int(lengths[0].partition(b":")[2])


UNREAD = {
    "json": b"GET /v0/pipes/large.json HTTP/1.1\r\n\r\n",
    "bytes": b"GET /v0/sql?q=SELECT+*+FROM+large+FORMAT+RowBinary HTTP/1.1\r\n\r\n",
    "a piece": b"GET /v0/pipes/large.json HTTP/1.1\r\nRange: bytes=1-\r\n\r\n",
    "all but the end": b"GET /v0/pipes/large.json HTTP/1.1\r\nRange: bytes=0-11900000\r\n\r\n",
    "SQL": b"GET /v0/sql?q=SELECT+*+FROM+large HTTP/1.1\r\n\r\n",
    "as ClickHouse": b"GET /?query=SELECT+*+FROM+large+FORMAT+JSON HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("what", UNREAD)
def test_who_does_not_read_is_closed_and_others_are_not(tenants: tuple[Tenant, Tenant], what: str) -> None:
    greedy, other = tenants
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(other.connect(UNREAD[what]))
        opened = [stack.enter_context(greedy.connect(UNREAD[what])) for _ in range(MANY)]
        # The last one is answered, and nobody has read anything: what each query gave is held, or was.
        assert is_whole(greedy.connect(b"GET /v0/sql?q=SELECT+1 HTTP/1.1\r\n\r\n"))
        whole = [is_whole(connection) for connection in opened]
        assert not all(whole), "all of it was held"
        assert is_whole(own), "another workspace's was closed"


UNFINISHED = {
    "SQL": b"POST /v0/sql HTTP/1.1\r\nContent-Length: 9900000\r\n\r\n",
    "chunks": b"POST /v0/sql HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % BODY,
    "parameters": b"POST /v0/pipes/large.json HTTP/1.1\r\nContent-Length: 9900000\r\n\r\n",
    "as ClickHouse": b"POST / HTTP/1.1\r\nContent-Length: 9900000\r\n\r\n",
    "a condition": b"POST /v0/datasources/x/delete HTTP/1.1\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9900000\r\n\r\n",
    "a form": b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9900000\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="query"\r\n\r\n',
    "a project": b"POST /v1/deploy HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    b"Content-Length: 9900000\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="data_project://"; filename="a.pipe"\r\n\r\n',
}


def is_open(connection: socket.socket) -> bool:
    """Return whether the server still waits for the rest of a body."""
    connection.settimeout(0.5)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("what", UNFINISHED)
def test_bodies_that_are_not_ended_are_closed_and_those_of_others_are_not(
    tenants: tuple[Tenant, Tenant], what: str
) -> None:
    greedy, other = tenants
    with contextlib.ExitStack() as stack:

        def begin(tenant: Tenant) -> socket.socket:
            found = stack.enter_context(tenant.connect(UNFINISHED[what]))
            found.sendall(b"a" * BODY)
            return found

        own = begin(other)
        opened = []
        with contextlib.suppress(ConnectionError):
            opened = [begin(greedy) for _ in range(MANY)]
        assert not opened or not all(is_open(connection) for connection in opened), "all of it was held"
        assert is_open(own), "another workspace's was closed"
    assert is_whole(greedy.connect(b"GET /v0/sql?q=SELECT+1 HTTP/1.1\r\n\r\n"))


@dataclass(eq=False)
class Fake:
    owner: str
    held: int
    ended: list[Fake] = field(default_factory=list)

    def end(self) -> None:
        self.ended.append(self)
        self.held = 0


def test_the_largest_of_who_holds_most_is_closed_first() -> None:
    memory, ended = ConnectionMemory(100), list[Fake]()
    small = [Fake("a", 20, ended) for _ in range(4)]
    large = Fake("b", 50, ended)
    for one in (*small, large):
        memory.look(one)
    assert ended == small[:2]  # 80 of a, then 60, are more than 50 of b
    memory.look(last := Fake("b", 30, ended))
    assert ended == [*small[:2], large]
    assert last.held == 30


def test_what_was_taken_meanwhile_counts_no_more() -> None:
    memory, ended = ConnectionMemory(100), list[Fake]()
    first = Fake("a", 90, ended)
    memory.look(first)
    first.held = 10  # its client reads
    memory.look(Fake("a", 80, ended))
    assert ended == []
    memory.forget(first)
    memory.look(Fake("a", 20, ended))
    assert ended == []


def test_one_that_is_larger_than_all_may_hold_is_closed() -> None:
    memory, ended = ConnectionMemory(100), list[Fake]()
    memory.look(kept := Fake("a", 90, ended))
    memory.look(Fake("b", 101, ended))
    assert [one.owner for one in ended] == ["b"]
    assert kept.held == 90


def test_no_limit_is_none() -> None:
    memory, ended = ConnectionMemory(0), list[Fake]()
    for _ in range(10):
        memory.look(Fake("a", 1 << 40, ended))
    assert ended == []
