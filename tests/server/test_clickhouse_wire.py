"""ClickHouse's HTTP interface at the level of bytes: parameters, formats, bodies, settings, errors."""

from __future__ import annotations

import contextlib
import gzip
import json
from typing import Any

import httpx
import lz4.frame
import pytest
import zstandard

from clickpipe.query import format_names
from clickpipe.server.framing import framed
from tests.server.conftest import Client

FORM = "multipart/form-data"


def ask(client: Client, query: str, **params: str) -> Any:
    return client("POST", "/", token="workspace admin token", params=params, content=query.encode())


@pytest.mark.parametrize(
    ("sql", "value", "expected"),
    [
        ("SELECT {x:String} AS v", "O\\'Neil", "O'Neil"),
        ("SELECT {x:String} AS v", "O'Neil", "O'Neil"),
        ("SELECT {x:String} AS v", "a\\nb\\tc\\\\d", "a\nb\tc\\d"),
        ("SELECT {x:String} AS v", "\\x41\\0", "A\0"),
        ("SELECT {x:String} AS v", "ключ \U0001f511 %", "ключ \U0001f511 %"),
        ("SELECT {x:String} AS v", "", ""),
        ("SELECT {x:Nullable(String)} AS v", "\\N", None),
        ("SELECT {x:Nullable(String)} AS v", "\\\\N", "\\N"),
        ("SELECT {x:Nullable(Int32)} AS v", "\\N", None),
        ("SELECT {x:Int32} AS v", "-7", -7),
        ("SELECT {x:Array(String)} AS v", "['it\\'s','a\\\\b','c\\nd']", ["it's", "a\\b", "c\nd"]),
        ("SELECT {x:Array(Nullable(Int8))} AS v", "[1,NULL]", [1, None]),
        ("SELECT {x:Array(Array(UInt8))} AS v", "[[1],[]]", [[1], []]),
        ("SELECT {x:Map(String, UInt8)} AS v", "{'it\\'s':1}", {"it's": 1}),
        ("SELECT {x:Date} AS v", "2026-01-02", "2026-01-02"),
        ("SELECT {x:DateTime} AS v", "2026-01-02 03:04:05", "2026-01-02 03:04:05"),
        ("SELECT {x:Bool} AS v", "true", True),
        ("SELECT id AS v FROM events WHERE id = {x:String} LIMIT 1", "\\'a\\'", "none"),
    ],
)
def test_parameters_are_unescaped_as_clickhouse_does(client: Client, sql: str, value: str, expected: object) -> None:
    answer = ask(client, f"{sql} FORMAT JSONEachRow", param_x=value)
    assert answer.status_code == 200, answer.text
    assert (json.loads(answer.text)["v"] if answer.text else "none") == expected


@pytest.mark.parametrize(
    ("sql", "value", "name"),
    [
        ("SELECT {x:UInt8}", "none", "BAD_QUERY_PARAMETER"),
        ("SELECT {x:String}", "a\nb", "BAD_QUERY_PARAMETER"),
        ("SELECT {x:Array(String)}", "['a", "CANNOT"),
        ("SELECT count() FROM {x:Identifier}", "events", "READONLY"),
        ("SELECT {x:String} FROM", "a", "SYNTAX_ERROR"),
    ],
)
def test_parameters_that_do_not_fit(client: Client, sql: str, value: str, name: str) -> None:
    answer = ask(client, sql, param_x=value)
    assert answer.status_code == 400
    assert name in answer.text


def test_every_format_answers(client: Client) -> None:
    needs = {
        "Prometheus": "SELECT 'a' AS name, 1.0 AS value",
        "Npy": "SELECT toInt32(1) AS a",
        "GeoJSON": "SELECT CAST((1, 2), 'Point') AS geometry",
        "PNG": "SELECT toUInt8(1) AS r, toUInt8(1) AS g, toUInt8(1) AS b",
    }
    for name in format_names():
        sql = needs.get(name, "SELECT 1 AS a, 'x' AS b")
        answer = ask(client, f"{sql} FORMAT {name}")
        assert (answer.status_code, answer.headers["x-clickhouse-format"]) == (200, name), answer.text
        assert bool(answer.content) is (name != "Null")


def test_what_the_engine_writes_and_is_not_offered(client: Client) -> None:
    """Formats of a schema or a file, and those of other protocols; a new one of the engine's is decided on here."""
    sql = "SELECT name FROM system.formats WHERE is_output"
    body = client.instance.engine.execute(sql, output="TSVRaw").body.decode().split()
    assert {*body} - {*format_names()} == {
        *("AvroConfluent", "MySQLWire", "PostgreSQLWire", "Protobuf", "ProtobufList", "ProtobufSingle", "Template")
    }
    for name in ("Template", "Protobuf", "Nonsense", "CapnProto"):
        for answer in (ask(client, f"SELECT 1 FORMAT {name}"), ask(client, "SELECT 1", default_format=name)):
            assert answer.status_code == 400
            assert answer.text.startswith(f"Code: 73. DB::Exception: The format '{name}' is not offered here")
            assert answer.text.endswith("(UNKNOWN_FORMAT)\n")
    api = client("GET", "/v0/sql", params={"q": "SELECT 1 FORMAT Nonsense"})
    assert (api.status_code, "Nonsense" in api.json()["error"]) == (400, True)
    assert client("GET", "/v0/sql", params={"q": "SELECT 1 AS a FORMAT Arrow"}).content[:6] == b"ARROW1"


def test_bodies_are_compressed_in_any_way(client: Client) -> None:
    sql = b"SELECT count() FROM events"
    packed = {
        "gzip": gzip.compress(sql, mtime=0),
        "zstd": zstandard.compress(sql),
        "lz4": lz4.frame.compress(sql),
        "": sql,
    }
    for encoding, body in packed.items():
        answer = client("POST", "/", content=body, headers={"Content-Encoding": encoding} if encoding else {})
        assert (answer.status_code, answer.text) == (200, "3\n"), encoding
    for encoding in ("gzip", "zstd", "lz4"):
        answer = client("POST", "/", content=b"SELECT 1", headers={"Content-Encoding": encoding})
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (400, "271"), answer.text
        cut = client("POST", "/", content=packed[encoding][:-9], headers={"Content-Encoding": encoding})
        assert cut.status_code == 400
        bomb = {"gzip": gzip.compress, "zstd": zstandard.compress, "lz4": lz4.frame.compress}[encoding](
            b" " * 20_000_000
        )
        assert client("POST", "/", content=bomb, headers={"Content-Encoding": encoding}).status_code == 413
    assert client("POST", "/", content=sql, headers={"Content-Encoding": "br"}).status_code == 400


def test_clickhouses_own_framing_of_a_body(client: Client) -> None:
    own = framed(b"SELECT count() FROM events")
    assert client("POST", "/", params={"decompress": "1"}, content=own).text == "3\n"
    for broken in (own[:-1], own[:20], b"\0" * len(own), b"x" + own[1:], own[:16] + b"\x01" + own[17:]):
        answer = client("POST", "/", params={"decompress": "1"}, content=broken)
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (400, "271")


def test_queries_and_parameters_in_a_form(client: Client) -> None:
    form = {"query": (None, "SELECT id FROM events WHERE id = {x:String} LIMIT 1"), "param_x": (None, "b")}
    assert client("POST", "/", files=form).text == "b\n"
    in_address = client("POST", "/", params={"query": "SELECT {x:String}"}, files={"param_x": (None, "it\\'s")})
    assert in_address.text == "it\\'s\n"  # written as TSV again
    file = client("POST", "/", files={"query": (None, "SELECT * FROM t"), "t": ("t.csv", b"1")})
    assert (file.status_code, file.headers["x-clickhouse-exception-code"]) == (400, "48")
    assert client("POST", "/", content=b"nonsense", headers={"Content-Type": f"{FORM}; boundary=x"}).status_code == 400


def test_settings_of_the_output(client: Client) -> None:
    sql = "SELECT toUInt64(18446744073709551615) AS n FORMAT JSONEachRow"
    assert ask(client, sql).text == '{"n":18446744073709551615}\n'
    assert ask(client, sql, output_format_json_quote_64bit_integers="1").text == '{"n":"18446744073709551615"}\n'
    date = "SELECT toDateTime('2026-01-01 00:00:00', 'UTC') AS t"
    assert ask(client, date, date_time_output_format="iso").text == "2026-01-01T00:00:00Z\n"
    assert ask(client, "SELECT 1, 2 FORMAT CSV", format_csv_delimiter=";").text == "1;2\n"
    assert ask(client, "SELECT number FROM numbers(10)", limit="2").text == "0\n1\n"
    assert ask(client, "SELECT number FROM numbers(10)", max_result_rows="2").status_code == 413
    # What may not be changed is ignored, as for a user who may only read it would be refused: drivers send much.
    assert ask(client, "SELECT 1", max_insert_threads="4", session_id="x", readonly="2", allow_ddl="1").text == "1\n"
    for name, value, code in (
        ("output_format_nonsense", "1", "115"),
        ("max_result_rows", "many", "72"),
        ("output_format_json_quote_64bit_integers", "maybe", "467"),
    ):
        answer = ask(client, "SELECT 1", **{name: value})
        assert answer.headers["x-clickhouse-exception-code"] == code, answer.text


def test_settings_do_not_lift_limits_or_open_files(client: Client) -> None:
    scopes = [{"type": "DATASOURCES:READ", "resource": "events", "filter": "id = 'b'"}]
    made = client(
        "POST", "/v0/tokens", params={"name": "few"}, json={"scopes": scopes, "limits": {"max_result_rows": 1}}
    )
    headers = {"X-ClickHouse-Key": made.json()["token"]}
    for name, value in (("max_result_rows", "0"), ("max_result_rows", "1000"), ("additional_table_filters", "{}")):
        many = client(
            "GET", "/", token=None, headers=headers, params={"query": "SELECT * FROM numbers(9)", name: value}
        )
        assert many.status_code == 413
        own = client("GET", "/", token=None, headers=headers, params={"query": "SELECT id FROM events", name: value})
        assert own.text == "b\n"
    for name in ("output_format_schema", "format_schema", "format_template_row", "format_avro_schema_registry_url"):
        answer = ask(client, "SELECT 1", **{name: "/etc/passwd"})
        assert "passwd" not in answer.text
    explained = client("GET", "/", token=None, headers=headers, params={"query": "EXPLAIN SELECT * FROM events"})
    assert (explained.status_code, explained.headers["x-clickhouse-exception-code"]) == (403, "497")


def test_explain_tells_no_physical_name(client: Client) -> None:
    answer = ask(client, "EXPLAIN json = 1, description = 0, header = 1 SELECT id, amount FROM events FORMAT TSVRaw")
    assert json.loads(answer.text)[0]["Plan"]["Header"] == [
        {"Name": "id", "Type": "String"},
        {"Name": "amount", "Type": "Int32"},
    ]
    plain = ask(client, "EXPLAIN SELECT * FROM default.events WHERE id = 'a'")
    assert plain.status_code == 200
    assert "ReadFromMergeTree (events)" in plain.text
    assert "ws_" not in plain.text
    reader = client("POST", "/", token="reader", content=b"EXPLAIN SYNTAX SELECT * FROM totals")
    assert (reader.status_code, reader.headers["x-clickhouse-exception-code"]) == (403, "497")
    assert client("POST", "/", token="reader", content=b"DESCRIBE (SELECT * FROM totals)").status_code == 200
    assert ask(client, "EXPLAIN INSERT INTO events SELECT 1").headers["x-clickhouse-exception-code"] == "164"


def test_errors_carry_what_clients_read(client: Client) -> None:
    answer = ask(client, "SELECT nope FROM events", query_id="mine-1")
    assert answer.headers["x-clickhouse-query-id"] == "mine-1"
    assert answer.headers["x-clickhouse-exception-code"] == "47"
    assert answer.text.endswith(" (UNKNOWN_IDENTIFIER)\n")
    wrong = client("POST", "/", token=None, content=b"SELECT 1", headers={"X-ClickHouse-Key": "wrong"})
    assert wrong.text.endswith("(AUTHENTICATION_FAILED)\n")
    denied = client("POST", "/", token="reader", content=b"SELECT * FROM events")
    assert (denied.status_code, denied.headers["x-clickhouse-exception-code"]) == (403, "497")
    written = ask(client, "INSERT INTO events VALUES")
    assert written.text.startswith(
        "Code: 164. DB::Exception: This interface is read-only here; send rows to /v0/events"
    )
    for name in ("ключ", "a\nb", "x" * 200):
        assert ask(client, "SELECT 1", query_id=name).headers["x-clickhouse-query-id"] != name


def test_a_database_is_known_or_an_error(client: Client) -> None:
    for name in ("", "default", client.workspace.name):
        assert ask(client, "SELECT count() FROM events", database=name).text == "3\n"
    for answer in (
        ask(client, "SELECT 1", database="other"),
        client("POST", "/", content=b"SELECT 1", headers={"X-ClickHouse-Database": "other"}),
    ):
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (404, "81")


def test_a_browser_may_send_clickhouses_headers(client: Client) -> None:
    answer = client("OPTIONS", "/", token=None, headers={"Origin": "https://example.com"})
    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"x-clickhouse-user", "x-clickhouse-key", "x-clickhouse-database", "x-clickhouse-format", "range"} <= allowed
    exposed = ask(client, "SELECT 1").headers["access-control-expose-headers"]
    assert "X-ClickHouse-Summary" in exposed
    assert "X-ClickHouse-Exception-Code" in exposed


def test_an_error_behind_the_first_rows_is_told(client: Client, port: int) -> None:
    sql = "SELECT number, throwIf(number > 3000000) FROM numbers(4000000)"
    headers = {"Authorization": f"Bearer {client.token('workspace admin token').value}"}
    found = b""
    with httpx.stream("POST", f"http://127.0.0.1:{port}/", content=sql.encode(), headers=headers) as answer:
        tag = answer.headers["x-clickhouse-exception-tag"]
        assert answer.status_code == 200
        with contextlib.suppress(httpx.RemoteProtocolError):  # the connection ends without the end of the body
            for part in answer.iter_bytes():
                found = (found + part)[-2000:]
            pytest.fail("the answer looks whole")
    message, _, end = found.partition(f"\r\n__exception__\r\n{tag}\r\n".encode())[2].partition(b"\n")
    assert message.endswith(b"(FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)")
    assert end == f"{len(message) + 1} {tag}\r\n__exception__\r\n".encode()
