"""Requests of one workspace that block, however many, hold no other's: nor its own, where they wait for jobs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest

from clickpipe.concurrency import EACH, in_thread, of_workspace
from clickpipe.query import QueryService
from clickpipe.runtime import Instance, Workspace
from clickpipe.server import create_app
from tests.server.conftest import FILES, Client

MANY = EACH + 4
ROW = b"a,1,2026-01-01 00:00:00\n"
COUNT = {"q": "SELECT count() AS c FROM events"}


@pytest.fixture
def busy(server_instance: Instance) -> Iterator[Client]:
    made = server_instance.workspaces.create("busy")
    made.deploy(FILES)
    yield Client(server_instance, made)
    server_instance.workspaces.delete(made)


Ask = Callable[..., Coroutine[Any, Any, httpx.Response]]


def run(instance: Instance, work: Callable[[Ask], Coroutine[Any, Any, None]]) -> None:
    """Run what asks one application, at once."""

    async def all_of_it() -> None:
        transport = httpx.ASGITransport(create_app(instance), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=30) as http:

            async def ask(client: Client, method: str, path: str, **more: Any) -> httpx.Response:
                value = client.token("workspace admin token").value
                return await http.request(method, path, headers={"Authorization": f"Bearer {value}"}, **more)

            await work(ask)

    asyncio.run(all_of_it())


async def answers(ask: Ask, client: Client) -> None:
    """Tell whether a workspace is answered by the routes that need a thread."""
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/v0/sql", {"params": COUNT}),
        ("GET", "/v0/pipes/totals.json", {"params": {"least": "0", "q": "SELECT count() AS c FROM _"}}),
        ("GET", "/v0/datasources", {}),
        ("POST", "/?query=SELECT%201%20AS%20x", {}),
        ("POST", "/v0/datasources?mode=append&name=events", {"content": ROW}),
        ("POST", "/v0/tokens?name=one&scope=DATASOURCES:READ:events:id%20=%20'a'", {}),
    ]
    for method, path, more in asked:
        reply = await asyncio.wait_for(ask(client, method, path, **more), 10)
        assert reply.status_code in {200, 202}, (path, reply.text)


def test_imports_that_wait_hold_nobody_s_queries(client: Client, busy: Client) -> None:
    async def work(ask: Ask) -> None:
        path = "/v0/datasources?mode=append&name=events"
        waiting = [asyncio.create_task(ask(busy, "POST", path, content=ROW)) for _ in range(MANY)]
        await asyncio.sleep(0.5)
        assert not any(one.done() for one in waiting)
        await answers(ask, client)
        assert (await asyncio.wait_for(ask(busy, "GET", "/v0/sql", params=COUNT), 10)).status_code == 200
        go_on.set()
        assert {(await one).status_code for one in waiting} == {200}

    with held(busy.workspace) as go_on:
        run(client.instance, work)


class held:  # noqa: N801 - used as a function
    """Have what is imported into a workspace wait, as while a deployment is applied, until it may go on."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._go_on, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._workspace.lock.paused():
            self._begun.set()
            self._go_on.wait(60)

    def __enter__(self) -> threading.Event:
        self._thread.start()
        assert self._begun.wait(60)
        return self._go_on

    def __exit__(self, *_: object) -> None:
        self._go_on.set()
        self._thread.join()


def test_what_blocks_holds_no_other_s_requests(client: Client, busy: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, judge = threading.Event(), QueryService._judge

    def slow(queries: QueryService, *given: Any) -> str:
        if queries is busy.workspace.queries:
            go_on.wait(60)
        return judge(queries, *given)

    monkeypatch.setattr(QueryService, "_judge", slow)

    async def work(ask: Ask) -> None:
        waiting = [asyncio.create_task(ask(busy, "GET", "/v0/sql", params=COUNT)) for _ in range(MANY)]
        await asyncio.sleep(0.5)
        try:
            await answers(ask, client)
            assert not any(one.done() for one in waiting)
        finally:
            go_on.set()
        assert {(await one).status_code for one in waiting} == {200}

    run(client.instance, work)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_thread_is_its_workspace_s_until_it_is_done(*, cancelled: bool) -> None:
    go_on, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def block() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go_on.wait(30)
        with lock:
            running[0] -= 1

    async def work() -> None:
        of_workspace.set("one")
        tasks = [asyncio.create_task(in_thread(block)) for _ in range(3 * EACH)]
        await asyncio.sleep(0.2)
        if cancelled:
            for task in tasks[:EACH]:
                task.cancel()
            await asyncio.sleep(0.2)
        assert (running[0], most[0]) == (EACH, EACH)
        of_workspace.set("other")
        assert await asyncio.wait_for(in_thread(lambda: "mine"), 5) == "mine"
        go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(work())
    assert (running[0], most[0]) == (0, EACH)


def test_errors_and_context_pass() -> None:
    async def work() -> None:
        of_workspace.set("one")
        assert await in_thread(of_workspace.get) == "one"
        for _ in range(EACH + 1):  # none keeps its turn
            with pytest.raises(ValueError, match="invalid literal"):
                await in_thread(int, "a")

    asyncio.run(work())
