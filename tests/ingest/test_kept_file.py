"""What views made of rows is stored next to the log: as it was, for one attempt, and not where it cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.engine import EngineError
from clickpipe.ingest import Ingester, Lines, WriteAheadLog
from clickpipe.ingest.kept_file import KeptFile
from clickpipe.ingest.log_file import Record
from clickpipe.runtime import Instance, Workspace
from tests.ingest.conftest import ONE
from tests.ingest.stops import Stops
from tests.ingest.test_uncertain_views import CHAIN, LOOKUP, VIEW, check, line


@pytest.fixture
def stops(log: WriteAheadLog, instance: Instance) -> Stops:
    return Stops(log, instance)


@pytest.fixture
def taker(stops: Stops) -> Iterator[Ingester]:
    ingester = stops.start()
    yield ingester
    ingester.close()


@pytest.mark.parametrize("damage", ["gone", "cut", "of other tables", "not rows"])
def test_views_run_again_when_what_they_made_cannot_be_read(
    workspace: Workspace, log: WriteAheadLog, stops: Stops, damage: str
) -> None:
    workspace.deploy(LOOKUP)
    workspace.append("allowed", [Lines.of([line(n) for n in range(15)])])
    segment = log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(n) for n in range(20)))])
    stops.run(1)
    file = KeptFile(segment)
    found = file.read()
    assert len(found) == 4
    if damage == "gone":
        file.path.unlink()
    elif damage == "cut":
        file.path.write_bytes(file.path.read_bytes()[:-1])
    elif damage == "of other tables":
        file.write([*found[:-1], Record("`other`.`table`", found[-1].lines)])
    else:
        file.write([Record(record.import_id, b"x" * 40) for record in found])
    stops.recover()
    assert [number for number, _ in check(workspace, 20)] == list(range(15, 20))
    assert not list(file.path.parent.glob("*.*"))


@pytest.mark.parametrize("reason", ["too large", "without a form"])
def test_what_views_made_need_not_be_stored(
    workspace: Workspace, log: WriteAheadLog, instance: Instance, stops: Stops, reason: str
) -> None:
    """A file of an earlier attempt does not count for this one."""
    workspace.deploy(LOOKUP)
    workspace.append("allowed", [Lines.of([line(n) for n in range(15)])])
    segment = log.write(workspace.id, "events", [Record(ONE, b"\n".join(line(n) for n in range(20)))])
    file = KeptFile(segment)
    file.write([Record("`old`.`table`", b"rows")])
    execute = instance.engine.execute

    def without(sql: str, *given: Any, **named: Any) -> Any:
        if named.get("output") == "Native":
            raise EngineError("Code: 48. DB::Exception: no such form. (NOT_IMPLEMENTED)")
        return execute(sql, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        if reason == "too large":
            patch.setattr("clickpipe.ingest.kept.MOST_BYTES", 100)
        else:
            patch.setattr(instance.engine, "execute", without)
        stops.run(1)
    assert file.read() == []
    stops.recover()
    assert [number for number, _ in check(workspace, 20)] == list(range(15, 20))


def test_a_file_of_what_views_made_is_removed_with_its_segment(log: WriteAheadLog) -> None:
    segment = log.write("w", "events", [Record(ONE, b"{}")])
    file = KeptFile(segment)
    file.write([Record("t", b"rows")])
    assert log.unfinished() == [segment]
    assert file.read() == [Record("t", b"rows")]
    segment.path.unlink()
    assert log.unfinished() == []
    assert file.read() == []


TYPES = """SCHEMA >
    id UInt64 `json:$.id`,
    doc JSON `json:$.doc`,
    any Dynamic `json:$.any`,
    either Variant(UInt64, Array(String)) `json:$.either`,
    low LowCardinality(Nullable(String)) `json:$.low`,
    pairs Map(String, Array(Nullable(Int32))) `json:$.pairs`,
    price Decimal(38, 9) `json:$.price`,
    at DateTime64(6, 'Asia/Tokyo') `json:$.at`,
    kind Enum8('a' = 1, 'b' = 2) `json:$.kind`,
    key UUID `json:$.key`,
    address IPv6 `json:$.address`,
    code FixedString(4) `json:$.code`
ENGINE_SORTING_KEY id
"""
DOCUMENT = (
    b'{"id":%d,"doc":{"a":{"b":[1,null,"x"]},"n":%d},"any":%s,"either":%s,"low":%s,"pairs":{"k":[1,null]},'
    b'"price":"12345678901234567890.123456789","at":"2026-01-02 03:04:05.678901","kind":"b",'
    b'"key":"6f7b1c1e-0000-4000-a000-00000000000%d","address":"2001:db8::1","code":"ab"}'
)


def test_values_of_all_types_come_back_from_the_log(
    workspace: Workspace, log: WriteAheadLog, stops: Stops, taker: Ingester, caplog: pytest.LogCaptureFixture
) -> None:
    columns = [one.split()[0] for one in TYPES.splitlines()[1:-1]]
    workspace.deploy(
        {
            "allowed.datasource": CHAIN["allowed.datasource"],
            "events.datasource": TYPES,
            "copies.datasource": re.sub(" `json:.*`", "", TYPES).replace("\nENGINE", ",\n    n UInt64\nENGINE"),
            "states.datasource": "SCHEMA >\n    id UInt64,\n    seen AggregateFunction(uniq, String)\n"
            "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n",
            "copies_mv.pipe": VIEW.format("SELECT *, (SELECT count() FROM allowed) AS n FROM events", "copies"),
            "states_mv.pipe": VIEW.format(
                "SELECT id, uniqState(toString(at)) AS seen FROM events GROUP BY id", "states"
            ),
        }
    )
    anything, eithers, texts = [b"1", b'"t"', b"[1.5]"], [b"7", b'["u"]', b"null"], [b"null", b'"l"', b'""']
    lines = [DOCUMENT % (n, n, anything[n % 3], eithers[n % 3], texts[n % 3], n) for n in range(9)]
    segment = log.write(workspace.id, "events", [Record(ONE, b"\n".join(lines))])
    stops.run(0)
    assert len(KeptFile(segment).read()) == 3
    stops.recover()
    assert not [record for record in caplog.records if record.name == "clickpipe.ingest.kept"]  # no view ran again
    assert taker.submit(workspace.id, "events", Lines.of(lines)).result(timeout=60).quarantined_rows == 0
    for table in ("events", "copies"):
        listed = ", ".join(f"toString({name})" for name in columns)
        times = workspace.sql(
            f"SELECT count() AS n FROM {table} GROUP BY {listed}, dynamicType(any), variantType(either)"
        )
        assert times == [{"n": 2}] * 9
    assert workspace.sql("SELECT uniqMerge(seen) AS n FROM states GROUP BY id") == [{"n": 1}] * 9
