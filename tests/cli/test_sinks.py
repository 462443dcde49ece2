"""`clickpipe sink` against a server that writes to a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from tests.cli.conftest import ADMIN_TOKEN, Run, start
from tests.connect.buckets import TestBucket, serving

pytestmark = pytest.mark.slow
SOURCE = "SCHEMA >\n    kind String `json:$.kind`,\n    n Int64 `json:$.n`\n\nENGINE_SORTING_KEY kind\n"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with serving() as url:
        yield url


def test_sinks_are_listed_run_paused_and_resumed(
    tmp_path: Path, run: Run, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = TestBucket(s3)
    (tmp_path / "events.datasource").write_text(SOURCE)
    (tmp_path / "lake.connection").write_text(
        lake.connection.replace("a-secret-key", '{{ tb_secret("lake_secret", "a-secret-key") }}')
    )
    (tmp_path / "out.pipe").write_text(
        "NODE n\nSQL >\n    %\n    SELECT kind, n FROM events WHERE n >= {{Int64(least, 0)}} ORDER BY n\n\nTYPE sink\n"
        f"EXPORT_CONNECTION_NAME lake\nEXPORT_BUCKET_URI s3://{lake.name}/out\nEXPORT_FILE_TEMPLATE {{kind}}\n"
        'EXPORT_FORMAT ndjson\nEXPORT_SCHEDULE "0 1 1 1 *"\n'
    )
    environment = {"CLICKPIPE_ADMIN_TOKEN": ADMIN_TOKEN, "CLICKPIPE_IMPORT_PRIVATE_URLS": "allow"}
    with start("serve", "--data-dir", "data", cwd=tmp_path, **environment) as server:
        monkeypatch.setenv("CLICKPIPE_HOST", server.url)
        monkeypatch.setenv("CLICKPIPE_TOKEN", ADMIN_TOKEN)
        done = run("deploy", tmp_path)
        assert (done.code, "does nothing here" in done.err + done.out) == (0, False)
        lines = "".join(json.dumps({"kind": "ab"[n % 2], "n": n}) + "\n" for n in range(5))
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        httpx.post(f"{server.url}/v0/events?name=events&wait=true", content=lines, headers=headers, timeout=60)
        listed = run("sink", "ls")
        assert (listed.code, listed.out.splitlines()[-1].split()) == (
            0,
            ["out", f"s3://{lake.name}/out", "0", "1", "1", "1", "*"],
        )
        done = run("sink", "run", "out", "--param", "least=1")
        sizes = [len(lake.get(f"out/{kind}.ndjson")) for kind in "ab"]
        assert (done.code, done.out.splitlines()) == (
            0,
            [f"out/{kind}.ndjson: 2 rows, {size} bytes" for kind, size in zip("ab", sizes, strict=True)],
        )
        assert lake.get("out/a.ndjson") == b'{"kind":"a","n":2}\n{"kind":"a","n":4}\n'
        told = json.loads(run("sink", "run", "out", "--mode", "replace", "--json").out)
        assert (told["status"], told["kind"], sorted(told["files"])) == (
            "done",
            "sink",
            ["out/a.ndjson", "out/b.ndjson"],
        )
        assert lake.get("out/a.ndjson").count(b"\n") == 3
        assert run("sink", "pause", "out").code == 0
        assert "(paused)" in run("sink", "ls").out
        found = json.loads(run("sink", "ls", "--json").out)
        assert [(one["name"], one["sink_paused"], one["last_job"]["status"]) for one in found] == [
            ("out", True, "done")
        ]
        assert run("sink", "resume", "out").code == 0
        for wrong, said in ((("run", "outt"), "did you mean 'out'?"), (("run", "out", "--param", "least=x"), "least")):
            refused = run("sink", *wrong)
            assert (refused.code, said in refused.err) == (1, True)
        assert server.stop() == 0


def test_rows_are_sent_to_a_topic(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 2})
    servers = ",".join(f"{one.host}:{one.port}" for one in broker.list_topics(timeout=60).brokers.values())
    (tmp_path / "kafka.connection").write_text(
        f"TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS {servers}\nKAFKA_SECURITY_PROTOCOL PLAINTEXT\n"
    )
    (tmp_path / "out.pipe").write_text(
        "NODE n\nSQL >\n    SELECT number FROM numbers(5)\n\nTYPE sink\nEXPORT_CONNECTION_NAME kafka\n"
        "EXPORT_KAFKA_TOPIC numbers\nEXPORT_SCHEDULE @on-demand\n"
    )
    with start("serve", "--data-dir", "data", cwd=tmp_path, CLICKPIPE_ADMIN_TOKEN=ADMIN_TOKEN) as server:
        monkeypatch.setenv("CLICKPIPE_HOST", server.url)
        monkeypatch.setenv("CLICKPIPE_TOKEN", ADMIN_TOKEN)
        done = run("deploy", tmp_path)
        assert (done.code, "warning" in done.err + done.out) == (0, False)
        done = run("sink", "run", "out")
        assert (done.code, "5 rows sent to the topic numbers" in done.err + done.out) == (0, True)
        assert json.loads(run("sink", "ls", "--json").out)[0]["sink_to"] == "numbers"
        refused = run("sink", "run", "out", "--mode", "replace")
        assert (refused.code, "cannot be replaced" in refused.err) == (1, True)
