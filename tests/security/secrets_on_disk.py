"""Canaries in every secret and token: no answer, log, metric, command or service data source has one, in any form.

Every route of the route table is asked, with an admin's token, with a reader's and with none; endpoints fail in all the
ways that put values into errors; then all that was said is searched for each canary as it is, in pieces,
percent-encoded, in base64, in hex, and escaped as JSON and SQL do.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from clickpipe.compiler import SERVED
from clickpipe.config import Settings
from clickpipe.observe import set_up_logs
from clickpipe.runtime import Instance
from clickpipe.server import create_app, serve_in_thread
from clickpipe.server.app import ROUTES
from tests.security.said import CANARIES, Said

ADMIN = CANARIES["admin token"]
SOURCE = """TOKEN "writer" APPEND

SCHEMA >
    `id` UInt64 `json:$.id`,
    `text` String `json:$.text`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "id"
"""
_NODE = "TOKEN reader READ\n\nNODE n\nSQL >\n    %\n    SELECT {} FROM events\nTYPE endpoint\n"
_KEY, _ENV = "{{tb_secret('key')}}", "{{tb_secret('outside')}}"
FILES = {
    "datasources/events.datasource": SOURCE,
    "datasources/taken.datasource": SOURCE.replace('TOKEN "writer" APPEND\n', ""),
    "pipes/hashed.pipe": _NODE.format(f"id, cityHash64({_KEY}) = 1 AS x, sipHash64({_ENV}) = 1 AS y"),
    "pipes/unnamed.pipe": _NODE.format(f"id, {_KEY} = text, concat('a', {_KEY}) = 'b', lower({_ENV}) = 'x'"),
    "pipes/cast.pipe": _NODE.format(f"toInt32({_KEY})"),
    "pipes/date.pipe": _NODE.format(f"toDate({_ENV}), toUUID({_KEY})"),
    "pipes/thrown.pipe": _NODE.format(f"throwIf(1, {_KEY})"),
    "pipes/nested.pipe": _NODE.format(f"toInt32(concat('x', {_KEY}, 'y'))"),
    "pipes/json.pipe": _NODE.format(f"CAST({_KEY} AS Enum8('a' = 1)), JSONExtract({_KEY}, 'nope', 'Int8')"),
    "pipes/regex.pipe": _NODE.format(f"match(text, concat({_KEY}, '(')), extract(text, {_KEY})"),
    "pipes/function.pipe": _NODE.format(f"formatDateTime(now(), 'x', {_KEY}), toTimeZone(now(), {_ENV})"),
    "pipes/error.pipe": _NODE.format(f"{{{{Int32(x)}}}}, {_KEY} = 'a'"),
    "pipes/lowered.pipe": _NODE.format(f"dateTrunc({_KEY}, now()), dateDiff({_ENV}, now(), now())"),
    "pipes/lowered_too.pipe": _NODE.format(f"dateDiff({_ENV}, now(), now())"),
    "pipes/table.pipe": _NODE.format("id, (SELECT count() FROM {{table(tb_secret('key'))}}) AS c"),
    "pipes/copied.pipe": (
        f"NODE n\nSQL >\n    %\n    SELECT id, toString(toInt32({_KEY})) AS text FROM events\n"
        "TYPE copy\nTARGET_DATASOURCE taken\n"
    ),
}
PIPES = [Path(name).stem for name in FILES if name.endswith(".pipe") and "copied" not in name]
HOLES = {
    "{name}.{format}": ("hashed.json", "cast.csv", "thrown.ndjson"),
    "{name}": ("events", "hashed", "key", "reader", "nothing"),
    "{id}": ("nothing",),
    "{id:number}": ("1", "99"),
    "{node}": ("n",),
}


@pytest.fixture(params=["key file", "encryption key"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Instance]:
    """A server on a data folder, its tokens and secrets encrypted by the key file that it makes, or by the setting."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CLICKPIPE_SECRET_outside", CANARIES["environment secret"])
    patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = Settings(
        admin_token=CANARIES["admin token"],
        jwt_signing_key=CANARIES["jwt signing key"],
        encryption_key=CANARIES["encryption key"] if request.param == "encryption key" else "",
        import_private_urls="allow",
        log_requests="all",
        log_level="debug",
    )
    with Instance(tmp_path / "data", settings) as made:
        made.admin_token()
        if request.param == "key file":
            CANARIES["key file"] = (tmp_path / "config" / "clickpipe" / "key").read_text().strip()
        made.catalog.secrets.put(made.default.id, "key", CANARIES["secret"])
        made.default.deploy(FILES)
        made.default.ingest("events", [{"id": 1, "text": "x"}])
        yield made
    patch.undo()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the server logs, in the form that it writes."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers, root.level
    set_up_logs("debug", "json")
    handler = root.handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    root.handlers = before
    root.setLevel(level)


def paths() -> Iterator[tuple[str, str]]:
    """Yield method and path of each route, with names that there are and names that there are not."""
    for method, path, _ in ROUTES:
        found = [path]
        for hole, values in HOLES.items():
            found = [one.replace(hole, value, 1) for one in found for value in (values if hole in one else ("",))]
        for one in found:
            if "delete" not in one and "truncate" not in one and method != "DELETE":
                yield method, one


def url() -> str:
    """Return an address that cannot be fetched, with credentials wherever they may stand."""
    c = {name: quote(value, safe="") for name, value in CANARIES.items()}
    return (
        f"http://{c['url user']}:{c['url password']}@127.0.0.1:9/x.csv?password={c['url query password']}"
        f"&user={c['url query user']}&token={c['url query token']}&X-Amz-Signature={c['signature']}"
    )


Asked = tuple[str, str, str, dict[str, Any]]


def of_routes(tokens: dict[str, str]) -> Iterator[Asked]:
    """Yield requests to every route, with every token, wherever it may stand."""
    for method, path in paths():
        for token in tokens.values():
            yield method, path, token, {} if method == "GET" else {"content": b""}
        query = f"token={quote(ADMIN)}&password={quote(CANARIES['url query password'])}"
        yield method, f"{path}?{query}", "", {}


def of_endpoints(tokens: dict[str, str]) -> Iterator[Asked]:
    """Yield what has endpoints over secrets fail, explain themselves and name their columns."""
    queries = (
        "SELECT * FROM _ FORMAT JSONCompact",
        "SELECT toTypeName(*) FROM _",
        "SELECT COLUMNS('.*') APPLY(toInt32) FROM _",
        "SELECT * FROM _ WHERE nope",
    )
    for pipe, token in product(PIPES, (tokens["reader"], tokens["admin"])):
        for rest in (".json", ".csv", ".parquet", ".ndjson", ".prometheus", "/explain"):
            yield "GET", f"/v0/pipes/{pipe}{rest}?x=1", token, {}
        yield "GET", f"/v0/pipes/{pipe}.json?explain=true", token, {}
        for q in queries:
            yield "GET", f"/v0/pipes/{pipe}.json?x=1&q={quote(q)}", token, {}
            yield "GET", f"/v0/sql?x=1&pipeline={pipe}&q={quote(q)}", token, {}
            yield "POST", f"/?x=1&query={quote(q.replace(' _', f' {pipe}'))}", token, {}
        for statement in (f"EXPLAIN SELECT * FROM {pipe}", f"DESCRIBE {pipe}", f"SHOW CREATE TABLE {pipe}"):
            yield "POST", "/", token, {"content": statement.encode()}


def of_others() -> Iterator[Asked]:
    """Yield requests that carry secrets of their own: passwords, URLs, values of secrets, projects."""
    password = CANARIES["password"]
    keys = {"X-ClickHouse-Key": password, "X-ClickHouse-User": "default"}
    yield "POST", "/", "", {"headers": keys, "content": b"SELECT 1"}
    yield "POST", f"/?user=default&password={quote(password)}", "", {"content": b"SELECT 1"}
    basic = base64.b64encode(f"default:{password}".encode()).decode()
    yield "POST", "/", "", {"headers": {"Authorization": f"Basic {basic}"}, "content": b"SELECT 1"}
    for mode in ("append", "replace"):
        yield "POST", f"/v0/datasources?mode={mode}&name=events&url={quote(url(), safe='')}", ADMIN, {}
    yield "POST", f"/v0/analyze?url={quote(url(), safe='')}", ADMIN, {}
    yield "POST", "/v0/pipes/copied/copy", ADMIN, {}
    yield "PUT", "/v0/variables/key", ADMIN, {"data": {"value": CANARIES["secret"]}}
    yield "POST", "/v0/variables", ADMIN, {"data": {"name": "bad name", "value": CANARIES["secret"]}}
    broken = FILES["pipes/cast.pipe"].replace("FROM events", f"FROM broken WHERE {_KEY} = 1")
    for path in ("/v1/deploy", "/v1/build", "/v1/deploy?check=true"):
        yield "POST", path, ADMIN, {"files": {"data_project://": ("pipes/cast.pipe", broken)}}


async def ask_all(instance: Instance, said: Said) -> None:
    transport = httpx.ASGITransport(create_app(instance), raise_app_exceptions=False)
    values = {t.name: t.value for t in instance.catalog.tokens.all(instance.default.id)}
    pipe = [{"type": "PIPES:READ", "resource": "cast"}]
    signed = CANARIES["jwt"] = instance.tokens.sign(instance.default.id, "signed", time.time() + 600, pipe, {})
    tokens = {"none": "", "reader": values["reader"], "writer": values["writer"], "admin": ADMIN, "jwt": signed}
    referer = {"Referer": f"http://page/?token={CANARIES['referer token']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client:

        async def ask(method: str, path: str, token: str, more: dict[str, Any]) -> None:
            headers = {**referer, **({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
            reply = await client.request(method, path, headers=headers, **more)
            assert reply.status_code < 500 or reply.status_code == 503, (method, path, reply.text)
            said.add(f"{method} {path}", reply.text + json.dumps(dict(reply.headers)))

        for asked in (*of_routes(tokens), *of_endpoints(tokens), *of_others()):
            await ask(*asked)
        for job in instance.catalog.jobs.newest(instance.default.id):
            instance.jobs.wait(job.id, 20)
            await ask("GET", f"/v0/jobs/{job.id}", ADMIN, {})
            await ask("POST", f"/v0/jobs/{job.id}/retry", ADMIN, {})
        for path in ("/v0/jobs", "/metrics", "/v0/ready", "/v0/datasources", "/v1/deployments"):
            await ask("GET", path, ADMIN, {})
        instance.service_log.flush()
        for name in SERVED:
            await ask("GET", f"/v0/sql?q=SELECT+*+FROM+tinybird.{name}", ADMIN, {})


def told_by_commands(at: str) -> Iterator[tuple[str, bytes]]:
    """Yield what commands print."""
    for command in (
        *(("endpoint", "data", "cast"), ("endpoint", "ls"), ("sql", "SELECT * FROM thrown"), ("secret", "ls")),
        *(("job", "ls"), ("datasource", "ls"), ("deployment", "ls"), ("logs",)),
        ("datasource", "append", "events", "--url", url()),
    ):
        line = [sys.executable, "-m", "clickpipe", *command, "--host", at, "--token", ADMIN]
        run = subprocess.run(line, capture_output=True, check=False, timeout=60, input=b"")
        yield f"$ clickpipe {' '.join(command[:2])}", run.stdout + run.stderr


@pytest.mark.slow
def test_no_canary_comes_out(instance: Instance, log: io.StringIO) -> None:
    said = Said()
    asyncio.run(ask_all(instance, said))
    with serve_in_thread(instance) as at:
        for where, text in told_by_commands(at):
            said.add(where, text)
    said.add("log", log.getvalue())
    assert log.getvalue().count("\n") > 100
    # who asks for tokens with a right to them is given them, and an example is of what its request says
    example = r"GET /examples/query\.http.*"
    allowed = {"admin token": rf"(GET|POST|PUT) /v[01]/(tokens|workspace|user|environments).*|{example}"}
    allowed["url query password"] = example
    leaks = said.leaks(allowed)
    assert not leaks, "\n".join(leaks[:20])
    assert len(said.texts) > 500
    instance.close()
    kept = kept_files(instance.data_dir)
    assert any(where.startswith("catalog.sqlite") for where, _ in kept.texts)
    leaks = kept.leaks({})
    assert not leaks, "\n".join(leaks[:20])


def kept_files(folder: Path) -> Said:
    """Return what a copy of a data folder tells, whose key lies elsewhere."""
    kept = Said()
    for path in folder.rglob("*"):
        if path.is_file():
            kept.add(str(path.relative_to(folder)), path.read_bytes().decode("latin-1"))
    return kept


def test_a_leak_would_be_found() -> None:
    def leaks(text: str, allowed: dict[str, str]) -> list[str]:
        said = Said()
        said.add("here", f"it is {text}!")
        return said.leaks(allowed)

    for name, canary in CANARIES.items():
        for text in (canary, quote(canary), json.dumps(canary), base64.b64encode(b"user:" + canary.encode()).decode()):
            assert any(name in leak for leak in leaks(text, {})), (name, text)
        assert leaks(canary, {name: "here"}) == []
