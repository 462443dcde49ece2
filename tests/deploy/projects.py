"""A project with views in a chain and a copy, changes of it, and what tests do with two deployments of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from clickpipe.query import FORMATS, QueryOptions
from clickpipe.runtime import Workspace

EVENTS = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
FIRST = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
SECOND = "NODE n\nSQL >\n    SELECT 'all' AS id, sum(n) AS n FROM sums\nTYPE materialized\nDATASOURCE totals\n"
COPY = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE kept\nCOPY_MODE replace\n"
FILES = {
    "events.datasource": EVENTS,
    "sums.datasource": SUMS,
    "totals.datasource": SUMS,
    "kept.datasource": EVENTS,
    "sums_mv.pipe": FIRST,
    "totals_mv.pipe": SECOND,
    "copy.pipe": COPY,
}
WIDER = {**FILES, "events.datasource": EVENTS.replace("n Int32", "n Int64,\n    tag String DEFAULT 'none'")}
KEYED = {**FILES, "events.datasource": EVENTS.replace("KEY id", "KEY n, id")}
DOUBLED = {**FILES, "sums_mv.pipe": FIRST.replace("sum(n)", "sum(n * 2)")}
NARROW = {**FILES, "events.datasource": EVENTS.replace("Int32", "Int8")}
QUERY = EVENTS + "\nFORWARD_QUERY >\n    SELECT upper(id) AS id, toInt64(n) * 10 AS n\n"
FORWARD = {**FILES, "events.datasource": QUERY.replace("Int32", "Int64")}


def send(workspace: Workspace, id_: str, n: int) -> None:
    assert workspace.ingest("events", [{"id": id_, "n": n}]).successful_rows == 1


def stage(workspace: Workspace, files: Mapping[str, str]) -> int:
    prepared = workspace.deployments.prepare(files, allow_destructive=True)
    assert not prepared.plan.errors
    deployment = workspace.deployments.start(prepared)
    workspace.deployments.stage(deployment, prepared)
    return deployment.id


def staged(workspace: Workspace, sql: str) -> Any:
    options = QueryOptions(FORMATS["ndjson"])
    answer = asyncio.run(workspace.staging_queries.sql(sql, options, lambda _kind, _name: None))
    return answer.result.body.decode().strip()


def sums(workspace: Workspace) -> list[int]:
    return [workspace.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in ("events", "sums", "totals")]


def staged_sums(workspace: Workspace) -> list[int]:
    texts = [staged(workspace, f"SELECT sum(n) AS s FROM {name}") for name in ("events", "sums", "totals")]
    return [int(text.removeprefix('{"s":').removesuffix("}")) for text in texts]


MANY = """\
NODE n
SQL >
    SELECT concat('m', toString(number)) AS id, toInt32(number = 250000 ? 13 : 0) AS n FROM numbers(300000)
TYPE copy
TARGET_DATASOURCE events
"""
FUSSY = {**FILES, "sums_mv.pipe": FIRST.replace("sum(n)", "sum(n + throwIf(n % 100 = 13))")}
