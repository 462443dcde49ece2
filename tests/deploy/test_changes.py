"""Every kind of change, with rows there, a writer and a reader: staged, promoted, rolled back. Nobody notices."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance, Workspace

pytestmark = pytest.mark.slow

EVENTS = """\
TOKEN "writer" APPEND

SCHEMA >
    id String `json:$.id`,
    n Int32 `json:$.n`,
    note Nullable(String) `json:$.note`,
    kind String `json:$.kind`,
    at DateTime `json:$.at`,
    tags Array(String) `json:$.tags[:]`

ENGINE MergeTree
ENGINE_PARTITION_KEY toYYYYMM(at)
ENGINE_SORTING_KEY id, at
"""
SUMS = """\
SCHEMA >
    kind String,
    n SimpleAggregateFunction(sum, Int64)

ENGINE AggregatingMergeTree
ENGINE_SORTING_KEY kind
"""
SUMS_MV = "NODE n\nSQL >\n    SELECT kind, sum(n) AS n FROM events GROUP BY kind\nTYPE materialized\nDATASOURCE sums\n"
TOTALS_MV = SUMS_MV.replace("FROM events", "FROM sums").replace("DATASOURCE sums", "DATASOURCE totals")
ENDPOINT = """\
TOKEN "reader" READ

NODE n
SQL >
    %
    SELECT kind, sum(n) AS s FROM events WHERE n >= {{Int32(least, 0)}} GROUP BY kind ORDER BY kind
TYPE endpoint
"""
COPY = "NODE n\nSQL >\n    SELECT id, n FROM events\nTYPE copy\nTARGET_DATASOURCE kept\nCOPY_SCHEDULE 0 3 29 2 *\n"
KEPT = "SCHEMA >\n    id String,\n    n Int32\n\nENGINE_SORTING_KEY id\n"
FILES = {
    "events.datasource": EVENTS,
    "sums.datasource": SUMS,
    "totals.datasource": SUMS,
    "kept.datasource": KEPT,
    "sums_mv.pipe": SUMS_MV,
    "totals_mv.pipe": TOTALS_MV,
    "by_kind.pipe": ENDPOINT,
    "keep.pipe": COPY,
}


@dataclass
class Change:
    """What changes in which files, what the plan calls it, and what of the sums it changes."""

    name: str
    files: Mapping[str, str | None]
    category: str = ""
    factor: int = 1  # of what views make of rows from then on, and of history when they are filled anew
    destructive: bool = False
    has_sums: bool = True
    tokens: list[str] = field(default_factory=lambda: ["reader", "writer"])


def events(*replaced: tuple[str, str]) -> dict[str, str | None]:
    text = EVENTS
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return {"events.datasource": text}


REWRITE, REBUILD, METADATA, CREATE, GONE = "rewrite with backfill", "view rebuild", "metadata", "create", "destructive"
ALTER = "in-place alter"
INDEX = "INDEXES >\n    INDEX k kind TYPE set(10) GRANULARITY 1\n\n"
FORWARD = "\nFORWARD_QUERY >\n    SELECT id, toInt64(n) AS n, kind, at, note, tags\n"
TAGS = "tags Array(String) `json:$.tags[:]`"
CHANGES = [
    Change("add a column", events((TAGS, f"{TAGS},\n    more String DEFAULT 'x'")), ALTER),
    Change("add a nullable column", events((TAGS, f"{TAGS},\n    more Nullable(Float64)")), ALTER),
    Change(
        "add a column in the middle",
        events(("    note", "    more LowCardinality(String) DEFAULT ''\n,    note")),
        ALTER,
    ),
    Change("drop a column", events((f",\n    {TAGS}", "")), ALTER, destructive=True),
    Change("widen an integer", events(("n Int32", "n Int64")), REWRITE),
    Change("narrow an integer, values fit", events(("n Int32", "n Int8")), REWRITE),
    Change("an integer to a text", events(("n Int32", "n Int64"), ("kind String", "kind FixedString(8)")), REWRITE),
    Change("a text to LowCardinality", events(("kind String", "kind LowCardinality(String)")), REWRITE),
    Change("a text to an Enum", events(("kind String", "kind Enum8('a' = 1, 'b' = 2)")), REWRITE),
    Change("a column to Nullable", events(("n Int32", "n Nullable(Int32)")), ALTER),
    Change("DateTime to DateTime64", events(("at DateTime", "at DateTime64(3)")), REWRITE),
    Change("DateTime to another zone", events(("at DateTime", "at DateTime('Asia/Tokyo')")), REWRITE),
    Change("an array's items", events(("Array(String)", "Array(LowCardinality(String))")), REWRITE),
    Change("a default", events(("kind String `json:$.kind`", "kind String `json:$.kind` DEFAULT 'none'")), ALTER),
    Change("a codec", events(("n Int32 `json:$.n`", "n Int32 `json:$.n` CODEC(ZSTD(3))")), ALTER),
    Change("a jsonpath", events(("$.note", "$.remark"))),
    Change("the sorting key", events(("KEY id, at", "KEY at, id")), REWRITE),
    Change("the partition key", events(("toYYYYMM(at)", "toYear(at)")), REWRITE),
    Change("no partition key", events(("ENGINE_PARTITION_KEY toYYYYMM(at)\n", "")), REWRITE),
    Change("a primary key", events(("ENGINE_SORTING_KEY", "ENGINE_PRIMARY_KEY id\nENGINE_SORTING_KEY")), REWRITE),
    Change("a TTL", events(("KEY id, at\n", "KEY id, at\nENGINE_TTL at + INTERVAL 100 YEAR\n")), ALTER),
    Change("settings", events(("KEY id, at\n", 'KEY id, at\nENGINE_SETTINGS "index_granularity=1024"\n')), ALTER),
    Change(
        "several columns at once",
        events((f",\n    {TAGS}", ",\n    more Float64 DEFAULT n * 2"), ("note Nullable(String) `json:$.note`,\n", "")),
        ALTER,
        destructive=True,
    ),
    Change(
        "columns in another order",
        events(("    id String `json:$.id`,\n", ""), (TAGS, f"{TAGS},\n    id String `json:$.id`")),
        ALTER,
    ),
    Change(
        "a target's TTL",
        {"sums.datasource": SUMS + "ENGINE_TTL toDate('2100-01-01') + toIntervalDay(length(kind))\n"},
        ALTER,
    ),
    Change("a target's codec", {"sums.datasource": SUMS.replace("kind String", "kind String CODEC(ZSTD(2))")}, ALTER),
    Change("another engine", events(("ENGINE MergeTree", "ENGINE ReplacingMergeTree")), REWRITE),
    Change(
        "an index",
        events(("ENGINE MergeTree", "INDEXES >\n    INDEX k kind TYPE set(10) GRANULARITY 1\n\nENGINE MergeTree")),
        ALTER,
    ),
    Change(
        "FORWARD_QUERY",
        events(
            ("n Int32", "n Int64"),
            ("KEY id, at\n", "KEY id, at\n\nFORWARD_QUERY >\n    SELECT id, toInt64(n) AS n, kind, at, note, tags\n"),
        ),
        REWRITE,
    ),
    Change("a view's SELECT", {"sums_mv.pipe": SUMS_MV.replace("sum(n)", "sum(n * 2)")}, REBUILD, factor=2),
    Change("a view's target", {"sums.datasource": SUMS.replace("kind String", "kind LowCardinality(String)")}, REBUILD),
    Change("the last view's target", {"totals.datasource": SUMS.replace("KEY kind", "KEY (kind)")}, REBUILD),
    Change(
        "source and view at once",
        {**events(("n Int32", "n Int64")), "sums_mv.pipe": SUMS_MV.replace("sum(n)", "sum(n * 2)")},
        REWRITE,
        factor=2,
    ),
    Change(
        "a new view",
        {"more.datasource": SUMS, "more_mv.pipe": SUMS_MV.replace("DATASOURCE sums", "DATASOURCE more")},
        REBUILD,
    ),
    Change(
        "a view's SELECT, its rows kept",
        {"sums_mv.pipe": SUMS_MV.replace("sum(n)", "sum(n * 1)") + "DEPLOYMENT_METHOD alter\n"},
    ),
    Change(
        "a view with a column more, its rows kept",
        {
            "sums.datasource": SUMS.replace("kind String", "kind String,\n    top SimpleAggregateFunction(max, Int32)"),
            "sums_mv.pipe": SUMS_MV.replace("AS n", "AS n, max(n) AS top")
            .replace("max(n)", "max(events.n)")
            .replace("sum(n)", "sum(events.n)")
            + "DEPLOYMENT_METHOD alter\n",
        },
        ALTER,
    ),
    Change("a second view into one target", {"again_mv.pipe": SUMS_MV.replace("sum(n)", "sum(toInt64(0))")}, REBUILD),
    Change(
        "views removed",
        {"sums_mv.pipe": None, "totals_mv.pipe": None, "sums.datasource": None, "totals.datasource": None},
        GONE,
        destructive=True,
        has_sums=False,
    ),
    Change("a new data source", {"new.datasource": KEPT}, CREATE),
    Change("a data source removed", {"kept.datasource": None, "keep.pipe": None}, GONE, destructive=True),
    Change("an endpoint", {"new.pipe": "NODE n\nSQL >\n    SELECT 1 AS x\nTYPE endpoint\n"}),
    Change("an endpoint's SQL", {"by_kind.pipe": ENDPOINT.replace("sum(n)", "sum(n) + 0")}),
    Change("an endpoint's parameter", {"by_kind.pipe": ENDPOINT.replace("Int32(least, 0)", "Int64(at_least, 0)")}),
    Change("an endpoint removed", {"by_kind.pipe": None}, tokens=["writer"]),
    Change("a copy's schedule", {"keep.pipe": COPY.replace("0 3", "0 4")}),
    Change("a copy's mode", {"keep.pipe": COPY + "COPY_MODE replace\n"}),
    Change("a copy removed", {"keep.pipe": None}),
    Change("a copy's target", {"kept.datasource": KEPT.replace("n Int32", "n Int64")}, REWRITE),
    Change(
        "a token more",
        {"by_kind.pipe": ENDPOINT.replace("TOKEN", 'TOKEN "other" READ\nTOKEN', 1)},
        tokens=["other", "reader", "writer"],
    ),
    Change("a token less", {"by_kind.pipe": ENDPOINT.replace('TOKEN "reader" READ\n', "")}, tokens=["writer"]),
    Change("a description", {"by_kind.pipe": f"DESCRIPTION >\n    What is sold\n\n{ENDPOINT}"}),
]


class Traffic:
    """A writer that sends one row after another, and a reader that never wants to see fewer than before."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._stop = threading.Event()
        self.sent = 0
        self.odd: list[str] = []
        self._threads = [threading.Thread(target=self._write), threading.Thread(target=self._read)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while not self._stop.is_set():
            number = self.sent + 100
            row = {"id": f"r{number}", "n": 1, "kind": "ab"[number % 2], "at": "2026-01-02 03:04:05", "tags": ["x"]}
            result = self._workspace.ingest("events", [row])
            if result.quarantined_rows:
                self.odd.append("a row went to quarantine")
                return
            self.sent += 1

    def _read(self) -> None:
        least = 0
        while not self._stop.is_set():
            try:
                (row,) = self._workspace.sql("SELECT count() AS c, sum(n) AS s FROM events")
            except ClickpipeError as error:
                self.odd.append(f"a reader was told: {error.message}")
                return
            if row["c"] < least or row["c"] != row["s"]:
                self.odd.append(f"a reader saw {row} after {least}")
            least = row["c"]


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    workspace.deploy(FILES)
    days = [f"2025-0{1 + k % 9}-01 00:00:00" for k in range(40)]
    rows = [{"id": f"r{k}", "n": 1, "kind": "ab"[k % 2], "at": day, "tags": []} for k, day in enumerate(days)]
    workspace.ingest("events", rows)
    return workspace


CHECKSUM = """SELECT sum(cityHash64(toString(id), assumeNotNull(toInt64(n)), replaceAll(toString(kind), '\\0', ''),
    toUnixTimestamp(at))) AS c FROM events"""


def state(workspace: Workspace, *, has_sums: bool) -> tuple[int, list[int]]:
    names = ["sums", "totals"] if has_sums else []
    (row,) = workspace.sql("SELECT uniqExact(id) AS u, count() AS c FROM events")
    assert row["u"] == row["c"]
    return row["c"], [workspace.sql(f"SELECT sum(n) AS s FROM {name}")[0]["s"] for name in names]


def test_there_are_enough() -> None:
    assert len({change.name for change in CHANGES}) == len(CHANGES) >= 40


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_a_change(instance: Instance, deployed: Workspace, change: Change) -> None:
    files = {name: text for name, text in {**FILES, **change.files}.items() if text is not None}
    before = deployed.queries.live().deployment_id
    with Traffic(deployed) as traffic:
        prepared = deployed.deployments.prepare(files, allow_destructive=change.destructive)
        assert not prepared.plan.errors
        categories = {step.category.value for step in prepared.plan.steps}
        assert not change.category or change.category in categories
        assert change.category or categories <= {METADATA}
        deployment = deployed.deployments.start(prepared)
        deployed.deployments.stage(deployment, prepared)
        deployed.deployments.promote(deployment.id)
        deployed.deployments.promote(before)
        deployed.deployments.promote(deployment.id)
    assert traffic.odd == []
    count, sums = state(deployed, has_sums=change.has_sums)
    assert count == 40 + traffic.sent
    if change.factor == 1:
        assert sums == [count] * len(sums)
    (checksum,) = deployed.sql(CHECKSUM)
    assert change.tokens == sorted(t.name for t in instance.catalog.tokens.all(deployed.id) if t.origin == "datafile")
    deployed.deployments.promote(before)
    assert state(deployed, has_sums=True) == (count, [count, count])
    assert deployed.sql(CHECKSUM) == [checksum]
    deployed.deployments.discard(deployment.id)
    (row,) = deployed.sql("SELECT sum(s) AS s FROM by_kind")
    assert row["s"] == count
