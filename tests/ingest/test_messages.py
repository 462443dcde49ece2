"""Messages of a topic become rows with all they have; those that are no JSON object go to quarantine with theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clickpipe.ingest import Ingester, Lines, Message, Position, Stored, line_of, refused
from clickpipe.runtime import Instance, Workspace
from tests.ingest.conftest import MakeIngester

KAFKA = "KAFKA_CONNECTION_NAME k\nKAFKA_TOPIC clicks\nKAFKA_GROUP_ID g\nKAFKA_STORE_HEADERS True\n"
CONNECTION = "TYPE kafka\nKAFKA_BOOTSTRAP_SERVERS localhost:1\n"
WITH_PATHS = "SCHEMA >\n    id String `json:$.id`,\n    n Int32 `json:$.deep.n`\n\n"
BY_NAMES = "SCHEMA >\n    id String,\n    n Nullable(Int32)\n\n"
WHOLE = "SCHEMA >\n    data String `json:$`\n\n"
ONE = Message(
    "clicks", 3, 7, 1_760_000_000, b"k\xff", b'{"id":"a","deep":{"n":1},"n":2}', (("h", b"v"), ("none", None))
)
META = {"__topic": "clicks", "__partition": 3, "__offset": 7, "__key": "k\ufffd"}
HEADERS = {"h": "v", "none": ""}
MOMENT = "2025-10-09 08:53:20"


def taken(workspace: Workspace, schema: str, lines: list[bytes]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Deploy, send lines twice: alone (the decoder judges) and with many others (ClickHouse does); return the rows."""
    workspace.deploy({"events.datasource": schema + KAFKA, "k.connection": CONNECTION})
    workspace.data.submit("events", Lines.of(lines)).result()
    small = _rows(workspace)
    for table in ("events", "events_quarantine"):
        workspace.data.truncate(table)
    workspace.data.submit("events", Lines.of([*lines, b" " * 200_000])).result()
    assert _rows(workspace) == small
    return small


def _rows(workspace: Workspace) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = workspace.sql("SELECT * FROM events ORDER BY __offset")
    bad = workspace.sql("SELECT * EXCEPT (c__import_id, insertion_date) FROM events_quarantine ORDER BY __offset")
    return found, bad


@pytest.mark.parametrize(
    ("schema", "own"), [(WITH_PATHS, {"id": "a", "n": 1}), (BY_NAMES, {"id": "a", "n": 2})], ids=["paths", "names"]
)
def test_a_row_has_what_its_message_has(workspace: Workspace, schema: str, own: dict[str, Any]) -> None:
    line = line_of(ONE, Stored(headers=True), 1000)
    good, bad = taken(workspace, schema, [line])
    assert good == [{**own, **META, "__headers": HEADERS, "__value": "", "__timestamp": MOMENT}]
    assert bad == []


def test_the_value_is_stored_as_it_came(workspace: Workspace) -> None:
    value = b' {\n  "id": "a",\r\n "deep": {"n": 1}}\n'
    good, _ = taken(workspace, WITH_PATHS, [line_of(replace(ONE, value=value), Stored(value=True), 1000)])
    assert [(row["id"], row["n"], row["__value"].encode()) for row in good] == [("a", 1, value)]


@pytest.mark.parametrize("value", [b"{}", b"{ }", b'{"a":1}', b'{\n"a":\t1 }', '{"ä":"ß"}'.encode()])
def test_a_column_takes_the_value_without_what_the_message_has_besides(workspace: Workspace, value: bytes) -> None:
    for stored in (Stored(whole=True), Stored(value=True, headers=True, whole=True)):
        if workspace.live is not None:
            workspace.data.truncate("events")
        good, bad = taken(workspace, WHOLE, [line_of(replace(ONE, value=value), stored, 1000), b'{"b":2}'])
        assert bad == []
        assert {json.dumps(json.loads(row["data"])) for row in good} == {json.dumps(json.loads(value)), '{"b": 2}'}
        assert [row["__offset"] for row in good] == [0, 7]


def test_keys_of_the_value_do_not_count_where_the_message_has_them(workspace: Workspace) -> None:
    value = b'{"id":"a","deep":{"n":1},"__offset":99,"__topic":"another","__key":"mine"}'
    good, _ = taken(workspace, WITH_PATHS, [line_of(replace(ONE, value=value), Stored(), 1000)])
    assert [{name: row[name] for name in META} for row in good] == [META]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the message is not a JSON object"),
        (b"plain text \xff", "the message is not a JSON object"),
        (b"[1]", "the message is not a JSON object"),
        (b'{"id":"a"', "the message is not a JSON object"),
        (b'{"id":"a","n":1} x', "the message is not a JSON object"),
        (b'{"id":"\xff"}', "the message is not a JSON object"),
        (b"{" * 5000, "the message is not a JSON object"),
        (b'{"id":"' + b"a" * 6000 + b'"}', "the message is larger than 6000 bytes"),
    ],
)
@pytest.mark.parametrize("schema", ["SCHEMA >\n    id Nullable(String) `json:$.id`\n\n", WHOLE], ids=["path", "whole"])
def test_what_is_no_object_is_kept_with_its_place(workspace: Workspace, schema: str, value: bytes, reason: str) -> None:
    good, bad = taken(workspace, schema, [line_of(replace(ONE, value=value), Stored(), 6000)])
    assert good == []
    assert [(row["__topic"], row["__partition"], row["__offset"]) for row in bad] == [("clicks", "3", "7")]
    assert [(row["c__error_column"], row["c__error"]) for row in bad] == [([""], [reason])]
    assert [row["__value"] for row in bad] == [value.decode(errors="replace")]
    assert [r.reason for r in workspace.data.quarantine_reasons("events")] == [reason]


def test_values_that_do_not_fit_are_kept_with_their_place(workspace: Workspace) -> None:
    lines = [line_of(replace(ONE, value=value), Stored(), 99) for value in (b'{"id":"a","deep":{"n":"x"}}', None)]
    good, bad = taken(workspace, WITH_PATHS, lines)
    assert good == []
    assert [(row["id"], row["n"], row["__offset"]) for row in bad] in (
        [("a", "x", "7"), (None, None, "7")],
        [(None, None, "7"), ("a", "x", "7")],
    )


def test_a_tombstone_is_a_row_where_no_column_needs_a_value(workspace: Workspace) -> None:
    schema = "SCHEMA >\n    id Nullable(String) `json:$.id`\n\n"
    good, bad = taken(workspace, schema, [line_of(replace(ONE, value=None), Stored(value=True), 99)])
    assert ([(row["id"], row["__offset"], row["__value"]) for row in good], bad) == ([(None, 7, "")], [])


@pytest.mark.parametrize("place", [b"1", b"1x", b"1999999999", b"1000000000", b"19999999999999999999"])
def test_a_client_gains_nothing_by_writing_as_a_source_does(workspace: Workspace, place: bytes) -> None:
    lines = [b'{"__kafka":%s,"a":1}' % place, b'{"__error":1}', b'{"__error":"', b'{"a":1}']
    workspace.deploy({"events.datasource": WHOLE + KAFKA, "k.connection": CONNECTION})
    workspace.data.submit("events", Lines.of(lines)).result()
    good, bad = _rows(workspace)
    assert len(good) + len(bad) == len(lines)
    assert '{"a":1}' in [row["data"] for row in good]


def test_a_source_is_not_refused_where_requests_are(
    instance: Instance, deployed: Workspace, make_ingester: MakeIngester
) -> None:
    taker: Ingester = make_ingester(fail_fast=["*"])
    lines = Lines.of([b'{"id":"a","n":1}', refused(ONE, "no")])
    taker.submit(deployed.id, "events", lines, position=Position("s", {"0": 2})).result()
    assert dict(instance.catalog.positions.read(deployed.id, "events", "s")) == {"0": 2}
