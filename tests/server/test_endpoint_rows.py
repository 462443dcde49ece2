"""A caller with a row filter chooses an endpoint's parameters: no value is answered otherwise for rows of others.

Each pipe has a condition that ClickHouse would evaluate before the filter, on partitions, keys, indexes or in PREWHERE,
and that fails for a value that only another tenant's row has. The answer to that value is the answer to one that no row
has: status, body, counts and headers.
"""

# ruff: noqa: E501 - a table of queries
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance
from tests.server.conftest import Client, sign

SCHEMA = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`,
    `b` Int32 `json:$.b`,
    `day` Date `json:$.day`,
    `price` Decimal(18, 2) `json:$.price`,
    `val` String `json:$.val`

ENGINE "{}"
"""
SOURCES = {
    "parts": SCHEMA.format("MergeTree") + 'ENGINE_PARTITION_KEY "b"\nENGINE_SORTING_KEY "tenant, id"\n',
    "days": SCHEMA.format("MergeTree") + 'ENGINE_PARTITION_KEY "day"\nENGINE_SORTING_KEY "id"\n',
    "keys": SCHEMA.format("MergeTree")
    + 'ENGINE_SORTING_KEY "id, b"\nENGINE_SETTINGS "index_granularity=1, min_bytes_for_wide_part=0"\n',
    "indexed": SCHEMA.format("MergeTree")
    + 'ENGINE_SORTING_KEY "tenant"\n\nINDEXES >\n    INDEX x val TYPE set(0) GRANULARITY 1\n'
    + "    INDEX y b TYPE minmax GRANULARITY 1\n",
    "newest": SCHEMA.format("ReplacingMergeTree") + 'ENGINE_PARTITION_KEY "b"\nENGINE_SORTING_KEY "tenant, id"\n',
}
ROWS = [
    {"id": 1, "tenant": "acme", "b": 1, "day": "2026-01-01", "price": 1, "val": "of-acme"},
    {"id": 2, "tenant": "globex", "b": 7, "day": "2026-01-07", "price": 7, "val": "of-globex"},
    {"id": 7, "tenant": "globex", "b": 7, "day": "2149-06-01", "price": 7, "val": "of-globex"},
    {"id": 9, "tenant": "acme", "b": 9, "day": "2026-01-09", "price": 9, "val": "of-acme"},
]
X, T = "{{Int64(x, 0)}}", "{{String(t, '')}}"
NODE = "NODE n\nSQL >\n    %\n    {}\nTYPE endpoint\n"
# Each fails for x = 7, t = 'of-globex', were rows of others judged.
PIPES = {
    "division": f"SELECT count() AS n FROM parts WHERE intDiv(100, b - {X}) != 12345",
    "thrown": f"SELECT count() AS n FROM parts WHERE throwIf(b = {X}) = 0",
    "modulo": f"SELECT count() AS n FROM parts WHERE 100 % (b - {X}) != 12345",
    "sorted_key": f"SELECT count() AS n FROM keys WHERE intDiv(100, id - {X}) != 12345",
    "skipped": f"SELECT count() AS n FROM indexed WHERE throwIf(val = {T}) = 0",
    "minmax_index": f"SELECT count() AS n FROM indexed WHERE intDiv(100, b - {X}) != 12345",
    "prewhere": f"SELECT count() AS n FROM keys PREWHERE intDiv(100, b - {X}) != 12345",
    "prewhere_text": f"SELECT count() AS n FROM keys PREWHERE toUInt8(if(val = {T}, 'a', '1')) = 1",
    "partition": f"SELECT count() AS n FROM parts WHERE throwIf(_partition_value.1 = {X}) = 0",
    "partition_id": f"SELECT count() AS n FROM parts WHERE throwIf(_partition_id = toString({X})) = 0",
    "price": f"SELECT count() AS n FROM keys WHERE intDiv(9, toInt32(price) - {X}) < 99 AND id < 9999",
    "under": f"SELECT count() AS n FROM (SELECT intDiv(100, b - {X}) AS q FROM parts) WHERE q != 12345",
    "named": f"SELECT count() AS n FROM (SELECT intDiv(100, b - {X}) AS q FROM parts WHERE q != 12345)",
    "with_": f"WITH intDiv(100, b - {X}) AS q SELECT count() AS n FROM parts WHERE q != 12345",
    "having": f"SELECT b, count() AS n FROM parts GROUP BY b HAVING intDiv(100, b - {X}) != 12345 ORDER BY b",
    "looked_up": f"SELECT count() AS n FROM keys WHERE id IN (SELECT id FROM parts WHERE intDiv(100, b - {X}) != 12345)",
    "united": f"SELECT count() AS n FROM keys UNION ALL SELECT count() AS n FROM parts WHERE intDiv(9, b - {X}) < 99 ORDER BY n",
    "final": f"SELECT count() AS n FROM newest FINAL WHERE intDiv(100, b - {X}) != 12345",
    "switched": f"SELECT count() AS n FROM parts WHERE {{% if defined(x) %}} throwIf(b = {X}) = 0 {{% else %}} b > 0 {{% end %}}",
}  # fmt: skip
NODES = {
    "above": f"NODE a\nSQL >\n    SELECT * FROM parts\n\n{NODE.format(f'SELECT count() AS n FROM a WHERE intDiv(9, b - {X}) < 99')}",
    "over": NODE.format("SELECT n FROM division"),
}
FILES = {
    **{f"datasources/{name}.datasource": text for name, text in SOURCES.items()},
    **{f"pipes/{name}.pipe": NODE.format(sql) for name, sql in PIPES.items()},
    **{f"pipes/{name}.pipe": text for name, text in NODES.items()},
    "pipes/plain.pipe": NODE.format(f"SELECT count() AS n FROM keys WHERE id > {X} AND lower(val) != {T} AND day > '2000-01-01'"),
}  # fmt: skip
_PASSING = re.compile(r'"elapsed": [\d.e-]+|request_id[^,]*')


@pytest.fixture(scope="module")
def rows(server_instance: Instance) -> Iterator[tuple[Client, str]]:
    workspace = server_instance.workspaces.create("endpoint_rows")
    workspace.deploy(FILES)
    for name in SOURCES:
        for row in ROWS:
            workspace.append(name, [Lines.of([json.dumps(row).encode()])])
    client = Client(server_instance, workspace)
    scopes = [{"type": "DATASOURCES:READ", "resource": name, "filter": "tenant = 'acme'"} for name in SOURCES]
    scopes += [{"type": "PIPES:READ", "resource": name} for name in (*PIPES, *NODES, "plain")]
    yield client, sign(client, *scopes)
    server_instance.workspaces.delete(workspace)


def told(client: Client, value: str, method: str, path: str, **values: str) -> tuple[Any, ...]:
    """Return all that is told of an answer, but times and the parameters that errors repeat."""
    reply = client(method, f"{path}{'&' if '?' in path else '?'}{urlencode(values)}", None, headers={"Authorization": f"Bearer {value}"})  # fmt: skip
    headers = {name for name in reply.headers if name not in {"content-length", "vary"}}
    text = _PASSING.sub("", reply.text)
    for given in values.values():
        text = text.replace(f"'{given}'", "'…'")
    return reply.status_code, text, headers, reply.headers.get("x-clickhouse-summary", "").partition("elapsed")[0]


DOORS = ("/v0/pipes/{}.json", "/v0/pipes/{}.csv", "/v0/pipes/{}.json?q=SELECT+*+FROM+_", "/v0/sql?q=SELECT+*+FROM+{}")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("pipe", [*PIPES, *NODES])
def test_a_value_that_others_have_is_answered_as_one_that_nobody_has(
    rows: tuple[Client, str], pipe: str, door: str
) -> None:
    client, value = rows
    path = door.format(pipe)
    theirs = {"x": "7", "t": "of-globex"}
    nobodys = {"x": "5", "t": "of-nobody"}
    assert told(client, value, "GET", path, **theirs) == told(client, value, "GET", path, **nobodys), pipe


@pytest.mark.parametrize("pipe", [*PIPES, *NODES])
def test_it_would_fail_for_them(rows: tuple[Client, str], pipe: str) -> None:
    """The test above can fail: who may read all rows is told an error for the one value, and none for the other."""
    client, _ = rows
    whole = client.token(ADMIN_TOKEN).value
    theirs = {"x": "7", "t": "of-globex"}
    failed, *_ = told(client, whole, "GET", f"/v0/pipes/{pipe}.json", **theirs)
    fine, *_ = told(client, whole, "GET", f"/v0/pipes/{pipe}.json", x="5", t="of-nobody")
    assert (failed, fine) == (400, 200)


def test_his_own_rows_are_judged(rows: tuple[Client, str]) -> None:
    client, value = rows
    for pipe in ("division", "sorted_key", "under", "final", "above"):
        assert told(client, value, "GET", f"/v0/pipes/{pipe}.json", x="1")[0] == 400, pipe
        status, text, *_ = told(client, value, "GET", f"/v0/pipes/{pipe}.json", x="7")
        assert (status, json.loads(text.replace(": ,", ": 0,").replace("\n\t\t,", "\n"))["data"]) == (200, [{"n": 2}])


def test_prewhere_that_may_fail_is_refused_with_words(rows: tuple[Client, str]) -> None:
    client, value = rows
    status, text, *_ = told(client, value, "GET", "/v0/pipes/prewhere.json", x="5")
    assert status == 403
    assert "Use WHERE" in text


def test_conditions_that_cannot_fail_use_the_index(rows: tuple[Client, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tables stay as they are: reading them by themselves would cost an index."""
    client, value = rows
    texts: list[str] = []
    gate = client.workspace.queries._limiter
    submit = gate.submit

    def noted(text: str, *rest: Any) -> Any:
        texts.append(text)
        return submit(text, *rest)

    monkeypatch.setattr(gate, "submit", noted)
    assert told(client, value, "GET", "/v0/pipes/plain.json", x="1")[0] == 200
    assert told(client, value, "GET", "/v0/pipes/division.json", x="5")[0] == 200
    assert ["LIMIT 9223372036854775807" in text for text in texts] == [False, True]
