"""Messages with a schema's id: read with the registry's schema, asked for once, or set aside with a reason."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.connect import Topic
from clickpipe.connect.framing import REGISTRY, Frames, Framing, Unreadable
from clickpipe.connect.reach import Reach
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Message
from clickpipe.runtime import Workspace
from tests.connect.conftest import EVENTS, OFFSETS, Broker, Start, files, until
from tests.connect.registries import EVENT, SchemaRegistry, event, framed, long, record, registry, text
from tests.connect.test_topic import NAMED, SASL, found

PASSWORD = "correct horse/battery"


@pytest.fixture
def schemas() -> Iterator[SchemaRegistry]:
    with registry() as made:
        made.add(1, EVENT)
        yield made


def frames(schemas: SchemaRegistry, value: str = "avro", key: str = "") -> Frames:
    url = f"http://who:correct%20horse%2Fbattery@{schemas.host}/"
    return Frames(Framing(value, key, url), Reach().check)


def opened(made: Frames, value: bytes | None, key: bytes | None = None) -> tuple[bytes | None, bytes | None]:
    message = made.open(Message("t", 0, 0, key=key, value=value))
    return message.key, message.value


def test_a_schema_is_asked_for_once_with_the_password(schemas: SchemaRegistry) -> None:
    made = frames(schemas)
    for _ in range(3):
        assert opened(made, event("a", 5), b"key") == (b"key", b'{"id":"a","n":5}')
    who = base64.b64encode(f"who:{PASSWORD}".encode()).decode()
    assert schemas.asked == [("/schemas/ids/1", f"Basic {who}")]
    assert opened(made, None) == (None, None)
    assert PASSWORD not in repr(made._framing)


def test_keys_have_schemas_too(schemas: SchemaRegistry) -> None:
    schemas.add(2, "string")
    schemas.schemas[3] = {"schema": "string"}
    assert opened(frames(schemas, "", "avro"), b"{}", framed(2, text("k"))) == (b"k", b"{}")
    assert opened(frames(schemas, "", "avro"), b"{}", framed(3, text("k"))) == (b"k", b"{}")
    assert opened(frames(schemas, "", "json_with_schema"), b"{}", framed(9, b'"k"')) == (b'"k"', b"{}")


def test_json_needs_no_registry(schemas: SchemaRegistry) -> None:
    assert opened(frames(schemas, "json_with_schema"), framed(7, b'{"id":1}')) == (None, b'{"id":1}')
    assert schemas.asked == []


def test_a_schema_may_refer_to_others(schemas: SchemaRegistry) -> None:
    first, second = ({"name": n, "subject": n, "version": 1} for n in ("Q", "P"))
    schemas.versions["P", 1] = {"schema": '{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}'}
    q = '{"type":"record","name":"Q","fields":[{"name":"p","type":"P"}]}'
    schemas.versions["Q", 1] = {"schema": q, "references": [second]}
    schemas.add(2, record(("q", "Q"), ("p", "P")), references=[first])
    assert opened(frames(schemas), framed(2, long(1) + long(2))) == (None, b'{"q":{"p":{"x":1}},"p":{"x":2}}')
    schemas.add(3, record(("q", "Z")), references=[{"name": "Z", "subject": "Z", "version": 1}])
    with pytest.raises(Unreadable, match="refers to"):
        opened(frames(schemas), framed(3, long(1)))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b'{"id":"a"}', "the value has no schema id"),
        (b"\0\0", "the value has no schema id"),
        (event("a", 1, 9), "schema 9: the registry has no such schema"),
        (event("a", 1, 7), "schema 7: it is not one of Avro"),
        (event("a", 1, 8), "schema 8: there is no type 'nothing'"),
        (event("a") + b"x", "not what schema 1 says: 1 bytes are left over"),
        (event("a")[:-1], "not what schema 1 says: it ends too early"),
    ],
)
def test_what_cannot_be_read_is_told(schemas: SchemaRegistry, value: bytes, told: str) -> None:
    schemas.add(7, {}, schemaType="JSON")
    schemas.add(8, "nothing")
    made = frames(schemas)
    for _ in range(2):
        with pytest.raises(Unreadable, match=told):
            opened(made, value)
    assert len(schemas.asked) <= 1


def test_schemas_do_not_fill_the_memory(schemas: SchemaRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes to a topic names any number of them, and whoever owns the registry makes them large."""
    monkeypatch.setattr("clickpipe.connect.framing._REMEMBERED", 50_000)
    made = frames(schemas)
    for number in range(20):
        schemas.add(number, {"type": "enum", "name": "e", "symbols": ["a", "x" * 10_000]})
        assert opened(made, framed(number, b"\0"))[1] == b'"a"'
        assert len(made._known) <= 7
    asked = len(schemas.asked)
    assert opened(made, framed(19, b"\0"))[1] == b'"a"'
    assert len(schemas.asked) == asked
    schemas.add(99, {"type": "enum", "name": "e", "symbols": ["x" * (5 << 20)]})
    with pytest.raises(ClickpipeError) as caught:
        opened(made, framed(99, b"\0"))
    assert caught.value.status == 503


def test_a_registry_that_fails_is_left_alone_for_a_while(
    schemas: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("clickpipe.connect.framing.time.monotonic", lambda: now[0])
    schemas.status = 404  # another server: not one that says that it has no such schema
    made = frames(schemas)
    for _ in range(3):
        with pytest.raises(ClickpipeError, match="schema registry") as caught:
            opened(made, event("a"))
        assert (caught.value.status, caught.value.code) == (503, REGISTRY)
        assert "who" not in caught.value.message
    assert len(schemas.asked) == 1
    schemas.status = 0
    now[0] += 2
    assert opened(made, event("a")) == (None, b'{"id":"a","n":1}')


def test_a_registry_is_asked_only_where_the_workspace_may_reach(schemas: SchemaRegistry) -> None:
    made = Frames(Framing("avro", "", schemas.url), Reach(private=False).check)
    with pytest.raises(ClickpipeError, match="kafka_hosts"):
        opened(made, event("a"))
    made = Frames(Framing("avro", "", "http://169.254.169.254/latest"), Reach().check)
    with pytest.raises(ClickpipeError, match="no setting allows"):
        opened(made, event("a"))
    assert schemas.asked == []


@pytest.mark.parametrize(
    "url", ["", "registry:8081", "http://[", "http://a:b:c", "ftp://registry", "http://registry:x"]
)
def test_an_address_that_is_none_is_told_when_it_is_needed(url: str) -> None:
    made = Frames(Framing("avro", "", url), Reach().check)
    with pytest.raises(ClickpipeError) as caught:
        opened(made, event("a"))
    assert caught.value.status == 503


def test_what_files_say(workspace: Workspace) -> None:
    url = "KAFKA_SCHEMA_REGISTRY_URL https://who:{{ tb_secret('REGISTRY') }}@registry.example.com\n"
    (topic,) = found(workspace, f"{NAMED}KAFKA_VALUE_FORMAT avro\n", SASL + url, REGISTRY="pass%20word")
    assert isinstance(topic, Topic)
    assert topic.framing == Framing("avro", "", "https://who:pass%20word@registry.example.com")
    assert "pass" not in repr(topic)
    assert {"pass%20word", "pass word"} < set(topic.hidden)


def sources(mock: Broker, schemas: SchemaRegistry, **options: str) -> dict[str, str]:
    made = files(mock.servers, mock.topic, **options)
    made["broker.connection"] += f"KAFKA_SCHEMA_REGISTRY_URL http://who:secret-of-registry@{schemas.host}\n"
    return made


def rows(workspace: Workspace) -> dict[str, int]:
    counted: dict[str, Any] = workspace.sql(OFFSETS)[0]
    return {name: int(value or 0) for name, value in counted.items()}


@pytest.mark.slow
def test_avro_becomes_rows_and_what_is_none_is_set_aside(
    workspace: Workspace, mock: Broker, start: Start, schemas: SchemaRegistry
) -> None:
    workspace.deploy(sources(mock, schemas, KAFKA_VALUE_FORMAT="avro", KAFKA_STORE_RAW_VALUE="True"))
    for value in (event("a", 4), b"{}", event("b", 1, 9), event("c")[:-1], framed(1, b""), event("d", 6)):
        mock.raw(value)
    mock.producer.flush(10)
    start()
    kept = until(
        lambda: (k := workspace.sql("SELECT * FROM events_quarantine ORDER BY __offset")) and len(k) == 4 and k
    )
    assert [(row["__topic"], row["__partition"], row["__offset"], row["c__error"]) for row in kept] == [
        (mock.topic, "0", "1", ["the value has no schema id"]),
        (mock.topic, "0", "2", ["the value has schema 9: the registry has no such schema"]),
        (mock.topic, "0", "3", ["the value is not what schema 1 says: it ends too early"]),
        (mock.topic, "0", "4", ["the value is not what schema 1 says: it ends too early"]),
    ]
    until(lambda: rows(workspace)["rows"] == 2)
    assert workspace.sql("SELECT id, n, __offset, __value FROM events ORDER BY id") == [
        {"id": "a", "n": 4, "__offset": 0, "__value": '{"id":"a","n":4}'},
        {"id": "d", "n": 6, "__offset": 5, "__value": '{"id":"d","n":6}'},
    ]


@pytest.mark.slow
def test_decimals_and_times_fit_their_columns(
    workspace: Workspace, mock: Broker, start: Start, schemas: SchemaRegistry
) -> None:
    millis = {"type": "long", "logicalType": "timestamp-millis"}
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
    fields = (
        ("id", "string"),
        ("n", "int"),
        ("price", decimal),
        ("t", millis),
        ("u", millis),
        ("d", ["null", "string"]),
    )
    schemas.add(4, record(*fields))
    made = sources(mock, schemas, KAFKA_VALUE_FORMAT="avro")
    columns = "price Decimal(18, 2) `json:$.price`,\n t DateTime64(3) `json:$.t`,\n u DateTime `json:$.u`,\n"
    more = f"SCHEMA >\n    {columns} d Nullable(String) `json:$.d`,\n"
    made["events.datasource"] = made["events.datasource"].replace("SCHEMA >\n", more)
    workspace.deploy(made)
    at = long(1_760_000_000_123)
    price = text((12345678901234567).to_bytes(8, "big"))
    mock.raw(framed(4, text("a") + long(1) + price + at + at + long(0)))
    mock.producer.flush(10)
    start()
    until(lambda: rows(workspace)["rows"] == 1)
    assert workspace.sql("SELECT toString(price) AS price, t, u, d FROM events") == [
        {"price": "123456789012345.67", "t": "2025-10-09 08:53:20.123", "u": "2025-10-09 08:53:20", "d": None}
    ]


@pytest.mark.slow
def test_json_with_a_schema_becomes_rows(
    workspace: Workspace, mock: Broker, start: Start, schemas: SchemaRegistry
) -> None:
    workspace.deploy(sources(mock, schemas, KAFKA_VALUE_FORMAT="json_with_schema"))
    for value in (framed(3, b'{"id":"a","n":4}'), b'{"id":"b","n":4}'):
        mock.raw(value)
    mock.producer.flush(10)
    start()
    until(lambda: rows(workspace)["n"] == 4)
    kept = until(lambda: workspace.sql("SELECT __offset, c__error FROM events_quarantine"))
    assert kept == [{"__offset": "1", "c__error": ["the value has no schema id"]}]


@pytest.mark.slow
def test_nothing_is_lost_while_the_registry_is_away(
    workspace: Workspace, mock: Broker, start: Start, schemas: SchemaRegistry, caplog: Any
) -> None:
    workspace.deploy(sources(mock, schemas, KAFKA_VALUE_FORMAT="avro"))
    schemas.status = 500
    for number in range(100):
        mock.raw(event(str(number)), partition=number % 4)
    mock.producer.flush(10)
    reader = start()
    until(lambda: reader.status.state == "paused" and "The schema registry" in reader.status.problem)
    assert "secret-of-registry" not in caplog.text + reader.status.problem
    schemas.status = 0
    until(lambda: rows(workspace) == {"rows": 100, "places": 100, "sums": 100, "n": 100})
    assert workspace.sql("SELECT count() AS n FROM events_quarantine") == [{"n": 0}]


def test_avro_needs_a_registry(workspace: Workspace) -> None:
    plan = workspace.deploy({"events.datasource": f"{EVENTS}{NAMED}KAFKA_VALUE_FORMAT avro\n", "k.connection": SASL})
    assert [f.message for f in plan.feedback if "there is no KAFKA_SCHEMA_REGISTRY_URL" in f.message] != []
