"""A run of a sink that is cut off: cancelled, stopped, killed, or refused by its bucket in the middle."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clickpipe.connect import Outgoing
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace
from tests.conftest import RunPython
from tests.connect.buckets import TestBucket
from tests.runtime.sinks import data, deployed, ids, project, run
from tests.runtime.test_crash import killed


def test_a_run_that_a_stop_cut_off_goes_on_with_the_same_files(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, project(lake, "{kind}"))
    put = Outgoing.put
    sent: list[str] = []

    def fail(self: Outgoing, key: str, body: Path | bytes) -> None:
        if sent:
            message = "the server stops here"
            raise ClickpipeError(message)
        sent.append(key)
        put(self, key, body)

    monkeypatch.setattr(Outgoing, "put", fail)
    cut = run(workspace)
    assert (cut.status, data(lake), "keys" in cut.result) == ("error", ["out/a.csv"], True)
    assert not [key for key in lake.names() if "_manifests/" in key]
    monkeypatch.setattr(Outgoing, "put", put)
    job = replace(cut, status="working")
    workspace.jobs.take_up(job)
    workspace._services.jobs.wait(job.id)
    assert data(lake) == ["out/a.csv", "out/b.csv"]  # and no a.1.csv
    assert workspace._services.engine.storage.tables("clickpipe_exports") == {}


@pytest.mark.parametrize("asked", ["HEAD", "PUT"])
def test_a_run_that_waits_for_its_bucket_can_be_cancelled(
    workspace: Workspace, lake: TestBucket, instance: Instance, asked: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        files = project(lake, "all", **({"EXPORT_STRATEGY": "replace"} if asked == "PUT" else {}))
        files["lake.connection"] = files["lake.connection"].replace(lake.url, url)
        deployed(workspace, files)
        job = workspace.sinks.start("out", {})
        method = ""
        while method != asked:  # it looks for earlier manifests first
            connection, _ = silent.accept()
            with connection:
                connection.settimeout(60)
                method = connection.recv(4).decode().strip()
                if method == asked:
                    instance.jobs.cancel(job)
                    instance.jobs.wait(job.id, 60)
                else:
                    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        found = instance.catalog.jobs.get(workspace.id, job.id)
        assert found is not None
        assert found.status == "cancelled"


class Cut:
    """Cuts a run off at its nth request of a kind, as a kill or a bucket that fails does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: str, number: int) -> None:
        self.left = number
        real = getattr(Outgoing, kind)

        def call(outgoing: Outgoing, *args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                message = "cut off here"
                raise ClickpipeError(message)
            return real(outgoing, *args)

        monkeypatch.setattr(Outgoing, kind, call)


FIRST = "SELECT id, kind, at FROM events WHERE id >= {{Int32(first, 0)}} ORDER BY id"


@pytest.mark.parametrize(("kind", "number"), [("put", n) for n in range(1, 7)] + [("delete", n) for n in range(1, 4)])
def test_wherever_a_run_is_cut_off_the_next_leaves_only_its_own_files(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    deployed(workspace, project(lake, "{id}", FIRST, EXPORT_STRATEGY="replace"))
    run(workspace, first="2")
    lake.put("out/99.csv", "somebody else's")
    with monkeypatch.context() as patched:
        cut = Cut(patched, kind, number)
        job = run(workspace, first="0" if kind == "put" else "3")
        assert (job.status == "error") == (cut.left <= 0)
    assert run(workspace, first="3").status == "done"
    assert data(lake) == ["out/3.csv", "out/99.csv"]
    assert [key for key in lake.names() if "/_manifests/" in key] == ["out/_manifests/out/latest.json"]


def test_a_run_that_goes_on_deletes_what_it_no_longer_needs(
    workspace: Workspace, lake: TestBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(workspace, project(lake, "{id}", FIRST))
    with monkeypatch.context() as patched:
        Cut(patched, "put", 4)
        cut = run(workspace)
    assert data(lake) == ["out/0.csv", "out/1.csv", "out/2.csv"]
    job = replace(cut, status="working", parameters={"values": {"first": "2"}, "mode": None})  # as if rows were deleted
    workspace.jobs.take_up(job)
    workspace._services.jobs.wait(job.id)
    assert data(lake) == ["out/2.csv", "out/3.csv"]


RUNS = """
    import json, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow")) as instance:
        workspace = instance.default
        if workspace.live is None:
            workspace.deploy(json.loads(sys.argv[2]))
            workspace.ingest("events", [{"id": n, "kind": "a", "at": 0} for n in range(20_000)])
        while True:
            job = workspace.sinks.start("out", {})
            print(job.id, flush=True)
            instance.jobs.wait(job.id)
"""
ENDS = """
    import json, sys
    from pathlib import Path
    from clickpipe.config import Settings
    from clickpipe.runtime import Instance

    with Instance(Path(sys.argv[1]), Settings(import_private_urls="allow")) as instance:
        instance.jobs.wait_for_all(instance.default.id)
        jobs = instance.catalog.jobs.newest(instance.default.id)
        print(json.dumps([[job.id, job.status, job.error] for job in jobs if job.kind == "sink"]))
"""


@pytest.mark.slow
def test_each_run_is_whole_once_when_the_server_is_killed(run_python: RunPython, s3: str, tmp_path: Path) -> None:
    lake, moments = TestBucket(s3), random.Random(3)
    files = json.dumps(project(lake, "part{6}"))
    started = {line for _ in range(5) for line in killed(RUNS, tmp_path, files, wait=moments.uniform(0, 1.5)) if line}
    jobs = json.loads(run_python(ENDS, tmp_path).stdout)
    assert started <= {job_id for job_id, _, _ in jobs}
    assert {(status, error) for _, status, error in jobs} == {("done", "")}
    manifests = [json.loads(lake.get(f"out/_manifests/out/{job_id}.json")) for job_id, _, _ in jobs]
    assert [sum(file["rows"] for file in one["files"]) for one in manifests] == [20_000] * len(jobs)
    assert sorted(file["key"] for one in manifests for file in one["files"]) == data(lake)
    for one in manifests:
        found = [number for file in one["files"] for number in ids(lake.get(file["key"]))]
        assert sorted(found) == list(range(20_000))
