"""Texts of ClickHouse's without what lies beneath names of resources."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from clickpipe.catalog import without_physical_names

A, B = "ws_00000000000000aa", "ws_00000000000000bb"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Table {A}.events_0123456789ab does not exist", "Table events does not exist"),
        (f"Table `{A}`.`events_0123456789ab` does not exist", "Table events does not exist"),
        (f"({A}.events_0123456789ab)", "(events)"),
        ("Table `events_0123456789ab` doesn't exist", "Table events doesn't exist"),
        ("Cannot parse 'events_0123456789ab'", "Cannot parse 'events_0123456789ab'"),
        (f"{A}.a_b_0123456789ab, {A}.a_0123456789ab", "a_b, a"),
        (f"{A}.events_quarantine_0123456789ab", "events_quarantine"),
        (f"{A}.events_0123456789ab_copy_ba9876543210 exists", "events exists"),
        (f"{A}.`events_0123456789ab_s_populate_ba9876543210`", "events"),
        (f"{A}_service.pipe_stats_rt", "tinybird.pipe_stats_rt"),
        (f"`{A}_service`.`jobs_log` is", "tinybird.jobs_log is"),
        (f"Database {A} does not exist", "Database default does not exist"),
        ("from events (an alias of events_0123456789ab). Maybe", "from events. Maybe"),
        (f"{A}\tevents_0123456789ab\t1\t5\t3\n", "default\tevents\t1\t5\t3\n"),
        (f"Database {A} does not exist. Maybe you meant {B}?.", "Database default does not exist."),
        (f"Table {A}.x_0123456789ab does not exist. Maybe you meant {B}.y_0123456789ab?", "Table x does not exist."),
        ("Database x does not exist. Maybe you meant clickpipe_spool?.", "Database x does not exist."),
        (
            "Unknown identifier `vall`. Maybe you meant: ['val']?",
            "Unknown identifier `vall`. Maybe you meant: ['val']?",
        ),
        (f"clickpipe_staged.`{A[3:]}_events_0123456789ab`", "events"),
        (f"clickpipe_probes.{A[3:]}_ba9876543210_events", "events"),
        ("clickpipe_spool.lines_3", "the lines"),
        ("Cannot write to file /srv/data/engine/store/aa/x.bin: full", "Cannot write to file the data folder: full"),
        ("Cannot parse '/a/engine/b' as UInt8", "Cannot parse '/a/engine/b' as UInt8"),
        ("Actual: __getScalar('2981329683288096000_4543402362120865343').", "Actual: __getScalar('…')."),
        ("__getScalar('123_456'_String) UInt8", "__getScalar('…'_String) UInt8"),
        ("ws_1.orders and ws_ and ws_00000000000000aag", "ws_1.orders and ws_ and ws_00000000000000aag"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert without_physical_names(text) == shown


@given(st.text(), st.sampled_from(["events", "a_b", "n1"]), st.text())
def test_no_workspace_s_id_comes_out(before: str, name: str, after: str) -> None:
    text = without_physical_names(f"{before} {A}.{name}_0123456789ab {after} {A} {after}")
    assert A not in text
    assert "0123456789ab" not in text
