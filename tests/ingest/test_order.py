"""Rows reach the table in the order in which they were accepted: engines such as ReplacingMergeTree keep the last."""

from __future__ import annotations

import pytest

from clickpipe.engine import Engine
from clickpipe.ingest import Lines, Replacing
from clickpipe.ingest.files import FileRows
from clickpipe.runtime import Instance, Workspace
from tests.ingest.test_import_cut_off import importer

REPLACING = (
    "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.n`,\n    day Date `json:$.day` DEFAULT '2026-01-01'\n\n"
    "ENGINE ReplacingMergeTree\nENGINE_SORTING_KEY id\n"
)
FORMS = ['{{"id":"{}","n":{}}}', '{{"id":"{}","n":"{}"}}', '{{"id":"{}","n":{}.0}}']  # the last one is asked about
KEYS = 9
LATEST = "SELECT id, n FROM latest FINAL ORDER BY id"


@pytest.fixture
def latest(workspace: Workspace) -> Workspace:
    workspace.deploy({"latest.datasource": REPLACING})
    return workspace


@pytest.mark.parametrize("forms", [FORMS, FORMS[:2], FORMS[2:]], ids=["both", "certain", "asked"])
def test_events_of_several_requests_keep_their_order(latest: Workspace, forms: list[str]) -> None:
    """Requests that are answered one after the other, and inserted together."""
    for turn in range(40):
        form = forms[turn % len(forms)]
        body = Lines("\n".join(form.format(key, turn) for key in range(KEYS)).encode())
        latest.data.submit("latest", body, wait=turn % 20 == 19).result()
        if turn % 20 == 19:
            assert latest.sql(LATEST) == [{"id": str(key), "n": turn} for key in range(KEYS)]


def test_a_file_keeps_its_order(latest: Workspace) -> None:
    """Its parts, too, of which some are quicker than others."""
    for turn in range(10):
        slow = [FORMS[2].format(f"other {key}", turn) for key in range(3000)]
        parts = [Lines("\n".join([*slow, FORMS[0].format("a", 2 * turn)]).encode())]
        parts.append(Lines(FORMS[0].format("a", 2 * turn + 1).encode()))
        assert latest.append("latest", parts).successful_rows == len(slow) + 2
        assert latest.sql("SELECT n FROM latest FINAL WHERE id = 'a'") == [{"n": 2 * turn + 1}]


def test_rows_that_replace_others_come_after_those_that_stay(instance: Instance, latest: Workspace) -> None:
    rows = FileRows([Lines(b'{"id":"a","n":2,"day":"2026-01-02"}')])
    assert latest.append("latest", [Lines(b'{"id":"a","n":1}\n{"id":"b","n":1}')]).successful_rows == 2
    how = Replacing("day = '2026-01-02'")
    assert importer(latest, instance.engine).replace("latest", rows, how, report=lambda _: None).rows == 1
    assert latest.sql(LATEST) == [{"id": "a", "n": 2}, {"id": "b", "n": 1}]


def test_which_engines_keep_rows_by_their_order(engine: Engine, workspace: Workspace) -> None:
    """ClickHouse's own: those where the same inserts in another order leave another result."""
    engines = {
        "MergeTree": ("n Int32", "MergeTree"),
        "Replacing": ("n Int32", "ReplacingMergeTree"),
        "Versions": ("n Int32", "ReplacingMergeTree(n)"),
        "Collapsing": ("n Int8", "CollapsingMergeTree(n)"),
        "Coalescing": ("n Nullable(Int32)", "CoalescingMergeTree"),
        "Summing": ("n Int32", "SummingMergeTree"),
        "Sums": ("n SimpleAggregateFunction(sum, Int64)", "AggregatingMergeTree"),
        "Last": ("n SimpleAggregateFunction(anyLast, Int32)", "AggregatingMergeTree"),
        "Any": ("n AggregateFunction(any, Int32)", "AggregatingMergeTree"),
        "Most": ("n AggregateFunction(1, argMax, Int32, Int32)", "AggregatingMergeTree"),
        "Uniq": ("n AggregateFunction(uniq, String)", "AggregatingMergeTree"),
    }
    tables = {name: f"`{workspace.database}`.`{name}`" for name in engines}
    try:
        for name, (column, kind) in engines.items():
            engine.execute(f"CREATE TABLE {tables[name]} (id String, {column}) ENGINE = {kind} ORDER BY id")
        found = engine.storage.kept_in_order(list(tables.values()))
    finally:
        engine.storage.drop(tables.values())
    expected = {"Replacing", "Versions", "Collapsing", "Coalescing", "Last", "Any", "Most"}
    assert {name for name, table in tables.items() if table in found} == expected
