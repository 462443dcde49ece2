"""Rows that a view or the table refuses go to quarantine, with the reason; all others reach table and views."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import EngineError, QueryResult
from clickpipe.ingest import Ingester, Lines, WriteAheadLog
from clickpipe.ingest.log_file import Record
from clickpipe.runtime import Workspace
from tests.ingest.conftest import BAD, GOOD, ONE, REFUSED, TWO, MakeIngester, counts

# A chain: events -> firsts (refuses texts that are no numbers) -> seconds (refuses large ones); and thirds beside them.
CHAIN = {
    "events.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    k String `json:$.k`\nENGINE_SORTING_KEY id\n",
    "firsts.datasource": "SCHEMA >\n    id UInt64,\n    n UInt32\nENGINE_SORTING_KEY id\n",
    "seconds.datasource": "SCHEMA >\n    id UInt64\nENGINE_SORTING_KEY id\n",
    "thirds.datasource": "SCHEMA >\n    n UInt64\nENGINE_SORTING_KEY n\n",
    "first_mv.pipe": "NODE a\nSQL >\n    SELECT id, toUInt32(k) AS n FROM events\n"
    "TYPE materialized\nDATASOURCE firsts\n",
    "second_mv.pipe": "NODE a\nSQL >\n    SELECT id FROM firsts WHERE throwIf(n > 1000) = 0\n"
    "TYPE materialized\nDATASOURCE seconds\n",
    "third_mv.pipe": "NODE a\nSQL >\n    SELECT count() AS n FROM events\nTYPE materialized\nDATASOURCE thirds\n",
}


def line(number: int, text: str) -> bytes:
    return b'{"id":%d,"k":"%s"}' % (number, text.encode())


def ids(workspace: Workspace, table: str) -> list[int]:
    return [row["id"] for row in workspace.sql(f"SELECT toUInt64(id) AS id FROM {table} ORDER BY id")]


def reasons(workspace: Workspace, table: str = "events") -> Sequence[Mapping[str, Any]]:
    return workspace.sql(f"SELECT id, c__error_column AS w, c__error AS why FROM {table}_quarantine ORDER BY id")


def test_one_refused_row_takes_nothing_else_with_it(deployed: Workspace, taker: Ingester) -> None:
    with taker.paused(deployed.id):  # so that all of them become one batch
        quiet = taker.submit(deployed.id, "events", Lines.of([GOOD, GOOD]), wait=False)
        mixed = taker.submit(deployed.id, "events", Lines.of([GOOD, REFUSED, BAD, GOOD]))
        alone = taker.submit(deployed.id, "events", Lines.of([REFUSED, REFUSED]))
        good = taker.submit(deployed.id, "events", Lines.of([GOOD]))
    assert (quiet.result().successful_rows, good.result().successful_rows) == (2, 1)
    assert (mixed.result().successful_rows, mixed.result().quarantined_rows) == (2, 2)
    with pytest.raises(ClickpipeError, match="sums_mv refuses the row: Value passed to 'throwIf'") as error:
        alone.result()
    assert error.value.status == 422
    assert counts(deployed) == (5, 4, 5)
    rows = deployed.sql("SELECT c__error_column AS w, c__error[1] AS why FROM events_quarantine WHERE n = '101'")
    assert [row["w"] for row in rows] == [["sums_mv"]] * 3
    assert all(row["why"].startswith("sums_mv refuses the row: Value passed to 'throwIf'") for row in rows)


def test_random_rows_refused_by_views_in_a_chain_are_in_quarantine_and_nowhere_else(
    workspace: Workspace, log: WriteAheadLog, make_chain: Any
) -> None:
    chance = random.Random(18)
    taker = make_chain(flush_seconds=0.05)
    expected: dict[str, set[int]] = {"events": set(), "first_mv": set(), "second_mv": set()}
    number = 0
    for _ in range(25):
        lines = []
        for _ in range(chance.choice([1, 3, 40])):
            where = chance.choices(["events", "first_mv", "second_mv"], [20, 1, 1])[0]
            text = {"events": str(number % 1000), "first_mv": "x", "second_mv": "1001"}[where]
            expected[where].add(number)
            lines.append(line(number, text))
            number += 1
        error = taker.submit(workspace.id, "events", Lines.of(lines), wait=chance.random() < 0.5).exception()
        assert error is None or (isinstance(error, ClickpipeError) and error.status == 422)
    taker.close()
    assert log.unfinished() == []
    assert ids(workspace, "events") == ids(workspace, "firsts") == ids(workspace, "seconds")
    assert ids(workspace, "events") == sorted(expected["events"])
    assert workspace.sql("SELECT sum(n) AS n FROM thirds") == [{"n": len(expected["events"])}]
    found = {name: {int(r["id"]) for r in reasons(workspace) if r["w"] == [name]} for name in expected}
    assert found == {**expected, "events": set()}


def test_many_rows_that_several_views_refuse_are_told_of_by_each(workspace: Workspace, make_chain: Any) -> None:
    """Each view is looked at with those alone that its rows come through."""
    taker = make_chain()
    texts = ["x", "1001", "x", "7", "x", "1001"]
    lines = [line(number, texts[number % 6]) for number in range(240)]
    result = taker.submit(workspace.id, "events", Lines.of(lines)).result()
    assert (result.successful_rows, result.quarantined_rows) == (40, 200)
    wanted = [number for number in range(240) if texts[number % 6] == "7"]
    assert ids(workspace, "events") == ids(workspace, "firsts") == ids(workspace, "seconds") == wanted
    assert workspace.sql("SELECT sum(n) AS n FROM thirds") == [{"n": 40}]
    found = {int(row["id"]): (row["w"], row["why"][0]) for row in reasons(workspace)}
    names = {"x": "first_mv", "1001": "second_mv"}
    assert {number: where for number, (where, _) in found.items()} == {
        number: [names[texts[number % 6]]] for number in range(240) if texts[number % 6] in names
    }
    assert "first_mv refuses the row: Cannot parse string 'x' as UInt32" in found[0][1]
    assert "second_mv refuses the row: Value passed to 'throwIf'" in found[1][1]


@pytest.fixture
def make_chain(workspace: Workspace, log: WriteAheadLog, instance: Any) -> Any:
    workspace.deploy(CHAIN)
    made: list[Ingester] = []

    def make(**limits: Any) -> Ingester:
        made.append(Ingester(instance.engine, log, instance.catalog.positions, instance.registry, **limits))
        return made[-1]

    yield make
    for ingester in made:
        ingester.close()


def test_what_the_table_itself_refuses_goes_to_quarantine_too(
    workspace: Workspace, log: WriteAheadLog, instance: Any
) -> None:
    workspace.deploy(
        {
            "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n"
            "    half UInt64 `json:$.half` DEFAULT throwIf(id % 10 = 7)\nENGINE_SORTING_KEY id\n"
        }
    )
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    try:
        lines = [b'{"id":%d,"half":1}' % number for number in range(5)]
        assert taker.submit(workspace.id, "t", Lines.of(lines)).result().successful_rows == 5
    finally:
        taker.close()
    assert ids(workspace, "t") == [0, 1, 2, 3, 4]


KEYS = {
    "sources": {
        "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt32 `json:$.n`\n"
        "ENGINE_PARTITION_KEY intDiv(10, n) > 5\nENGINE_SORTING_KEY id\n",
    },
    "targets": {
        "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt32 `json:$.n`\nENGINE_SORTING_KEY id\n",
        "c.datasource": "SCHEMA >\n    id UInt64,\n    n UInt32\nENGINE_SORTING_KEY id, intDiv(10, n)\n",
        "c_mv.pipe": "NODE a\nSQL >\n    SELECT id, n FROM t\nTYPE materialized\nDATASOURCE c\n",
    },
    "signs": {
        "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    n Int8 `json:$.n`\nENGINE_SORTING_KEY id\n",
        "c.datasource": "SCHEMA >\n    id UInt64,\n    n Int8\nENGINE CollapsingMergeTree\nENGINE_SIGN n\n"
        "ENGINE_SORTING_KEY id\n",
        "c_mv.pipe": "NODE a\nSQL >\n    SELECT id, n FROM t\nTYPE materialized\nDATASOURCE c\n",
    },
    "marks": {
        "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`,\n    n UInt8 `json:$.n`,\n"
        "    deleted UInt8 DEFAULT if(n = 0, 7, 0)\n"
        "ENGINE ReplacingMergeTree\nENGINE_VER n\nENGINE_IS_DELETED deleted\nENGINE_SORTING_KEY id\n",
    },
}


@pytest.mark.parametrize("files", KEYS.values(), ids=KEYS)
def test_rows_for_which_a_key_cannot_be_worked_out_are_refused(
    workspace: Workspace, log: WriteAheadLog, instance: Any, files: dict[str, str]
) -> None:
    workspace.deploy(files)
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    try:
        lines = [b'{"id":%d,"n":%d}' % (number, number % 3 != 0) for number in range(30)]
        result = taker.submit(workspace.id, "t", Lines.of(lines)).result()
    finally:
        taker.close()
    assert (result.successful_rows, result.quarantined_rows) == (20, 10)
    wanted = [number for number in range(30) if number % 3]
    for table in ("t", "c") if "c.datasource" in files else ("t",):
        assert [row["id"] for row in workspace.sql(f"SELECT toUInt64(id) AS id FROM {table} ORDER BY id")] == wanted
    assert log.unfinished() == []


def test_a_view_that_refuses_what_it_took_before_puts_no_row_into_two_places(
    workspace: Workspace, log: WriteAheadLog, instance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides at random: what it took when it was asked, it may refuse when the row is written."""
    monkeypatch.setattr("clickpipe.ingest.channel._BACK_OFF", (0.01,))
    files = {**CHAIN, "third_mv.pipe": CHAIN["third_mv.pipe"].replace("FROM events", "FROM events WHERE {}")}
    files["third_mv.pipe"] = files["third_mv.pipe"].format("throwIf(rand(id) % 3 = 0) = 0")
    workspace.deploy(files)
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    for number in range(0, 30, 3):
        lines = Lines.of([line(n, str(n)) for n in range(number, number + 3)])
        error = taker.submit(workspace.id, "events", lines).exception()
        assert error is None or (isinstance(error, ClickpipeError) and error.status == 422)
    taker.close()
    refused = [int(row["id"]) for row in reasons(workspace)]
    assert log.unfinished() == []
    assert sorted([*ids(workspace, "events"), *refused]) == list(range(30))
    assert ids(workspace, "events") == ids(workspace, "firsts") == ids(workspace, "seconds")
    assert workspace.sql("SELECT sum(n) AS n FROM thirds") == [{"n": 30 - len(refused)}]


def test_rows_that_are_refused_only_together_are_all_written(
    workspace: Workspace, log: WriteAheadLog, instance: Any
) -> None:
    workspace.deploy(
        {
            "t.datasource": "SCHEMA >\n    id UInt64 `json:$.id`\nENGINE_SORTING_KEY id\n",
            "c.datasource": "SCHEMA >\n    n UInt64\nENGINE_SORTING_KEY n\n",
            "c_mv.pipe": "NODE a\nSQL >\n    SELECT count() AS n FROM t HAVING throwIf(count() > 5) = 0\n"
            "TYPE materialized\nDATASOURCE c\n",
        }
    )
    taker = Ingester(instance.engine, log, instance.catalog.positions, instance.registry)
    try:
        lines = Lines.of([b'{"id":%d}' % number for number in range(20)])
        assert taker.submit(workspace.id, "t", lines).result().successful_rows == 20
    finally:
        taker.close()
    assert ids(workspace, "t") == list(range(20))
    assert workspace.sql("SELECT sum(n) AS n FROM c") == [{"n": 20}]


def test_a_stop_between_finding_and_writing_changes_nothing(
    deployed: Workspace, log: WriteAheadLog, taker: Ingester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement fails once, as if the server had been killed before it: what was found is what is done."""
    for step in range(12):
        before = counts(deployed)
        log.write(deployed.id, "events", [Record(ONE, GOOD + b"\n" + REFUSED), Record(TWO, BAD + b"\n" + GOOD)])
        execute, seen = taker._writer._engine.execute, 0

        def stop(sql: str, *given: Any, _step: int = step, _execute: Any = execute, **named: Any) -> QueryResult:
            nonlocal seen
            if sql.startswith("INSERT INTO"):
                seen += 1
                if seen > _step:
                    raise EngineError("Code: 1. DB::Exception: killed. (KILLED)")
            result: QueryResult = _execute(sql, *given, **named)
            return result

        monkeypatch.setattr(taker._writer._engine, "execute", stop)
        assert taker.recover() == 1
        with taker._state:
            taker._channels.clear()  # it is dead
        monkeypatch.undo()
        again = Ingester(taker._writer._engine, log, taker._positions, deployed._services.registry)
        again.recover()
        again.close()
        rows, quarantined, summed = counts(deployed)
        assert (rows - before[0], quarantined - before[1], summed - before[2]) == (2, 2, 2)
    assert log.unfinished() == []


def test_many_rows_of_one_segment_may_be_refused(deployed: Workspace, make_ingester: MakeIngester) -> None:
    taker = make_ingester()
    lines = [GOOD if number % 4 else REFUSED for number in range(200)]
    result = taker.submit(deployed.id, "events", Lines.of(lines)).result()
    assert (result.successful_rows, result.quarantined_rows) == (150, 50)
    assert counts(deployed) == (150, 50, 150)
