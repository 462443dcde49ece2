"""ClickHouse's HTTP interface: what its clients send, and the wall before it."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_driver.streams.compressed import CompressedBlockInputStream

from tests.server.conftest import Client


def ask(client: Client, query: str, token: str = "workspace admin token", **params: str) -> Any:
    headers = {"X-ClickHouse-User": "any", "X-ClickHouse-Key": client.token(token).value}
    return client("POST", "/", token=None, params=params, content=query.encode(), headers=headers)


def test_a_token_is_the_password_in_each_place(client: Client) -> None:
    value = client.token("reader").value
    basic = base64.b64encode(f"default:{value}".encode()).decode()
    for headers, params in (
        ({"Authorization": f"Basic {basic}"}, {}),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": value}, {}),
        ({}, {"user": "default", "password": value}),
        ({"Authorization": f"Bearer {value}"}, {}),
    ):
        answer = client(
            "GET", "/", token=None, headers=headers, params={"query": "SELECT count() FROM totals", **params}
        )
        assert (answer.status_code, answer.text) == (200, "2\n")
    for headers in ({}, {"Authorization": "Basic ???"}, {"X-ClickHouse-Key": "wrong"}):
        answer = client("GET", "/", token=None, headers=headers, params={"query": "SELECT 1"})
        assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (403, "516")
        assert answer.text.startswith("Code: 516. DB::Exception: ")
    for path in ("/ping", "/"):
        assert client("GET", path, token=None).text == "Ok.\n"
    assert client("POST", "/", token=None).status_code == 403


def test_formats_and_what_the_headers_tell(client: Client) -> None:
    answer = ask(client, "SELECT id, amount FROM events ORDER BY amount LIMIT 1")
    assert answer.text == "a\t1\n"
    assert answer.headers["x-clickhouse-format"] == "TabSeparated"
    assert int(json.loads(answer.headers["x-clickhouse-summary"])["read_rows"]) >= 3
    assert ask(client, "SELECT 1 AS n FORMAT JSONEachRow").text == '{"n":1}\n'
    assert ask(client, "SELECT 1 AS n", default_format="CSVWithNames").text == '"n"\n1\n'
    assert ask(client, "SELECT 1", default_format="Nothing").status_code == 400
    both = client(
        "POST",
        "/",
        token=None,
        params={"query": "SELECT id FROM events", "password": client.token("reader").value},
        content=b"WHERE 1",
    )
    assert both.status_code == 403


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT {n:UInt8} + 1", "43\n"),
        ("SELECT count() FROM {workspace}.events", "3\n"),
        ("SELECT count() FROM `{workspace}`.`events` AS e WHERE e.id = {s:String}", "2\n"),
        ("SELECT count() FROM default.totals", "2\n"),
        ("SELECT currentDatabase()", "{workspace}\n"),
        ("SELECT displayName(), 'user()'", "clickpipe\tuser()\n"),
        ("SHOW DATABASES", "{workspace}\n"),
        ("SHOW TABLES FROM {workspace};", "events\nstrict\ntotals\ntotals_copy\n"),
        ("DESCRIBE default.events", "id\tString\t\t\t\t\t\namount\tInt32\t\t\t\t\t\nat\tDateTime\t\t\t\t\t\n"),
        ("DESCRIBE TABLE events", "id\tString\t\t\t\t\t\namount\tInt32\t\t\t\t\t\nat\tDateTime\t\t\t\t\t\n"),
        (
            "SELECT name, engine FROM system.tables WHERE database = '{workspace}' AND name = 'events'",
            "events\tMergeTree\n",
        ),
        ("SELECT type FROM system.columns WHERE table = 'totals' ORDER BY position", "String\nInt64\n"),
        ("SELECT name FROM SYSTEM.databases", "{workspace}\n"),
        ("SELECT count() > 0 FROM system.settings", "1\n"),
        ('/* {"app": "dbt"} */\n-- why\nSELECT 1;', "1\n"),
        ("SELECT current_database(), CURRENT_DATABASE(), DATABASE()", "{workspace}\t{workspace}\t{workspace}\n"),
        ("SHOW SCHEMAS LIKE '%'", "{workspace}\n"),
        ("SHOW TABLES LIKE 'to%' LIMIT 1", "totals\n"),
        ("SHOW TABLES NOT LIKE 'to%'", "events\nstrict\n"),
        ("SHOW TABLES FROM system", ""),
        ("SHOW FULL TABLES IN `default`", "events\tBASE TABLE\nstrict\tVIEW\ntotals\tVIEW\ntotals_copy\tBASE TABLE\n"),
        ("SHOW COLUMNS FROM events LIKE 'a%'", "amount\tInt32\tNO\t\t\\N\t\nat\tDateTime\tNO\tPRI SOR\t\\N\t\n"),
        (
            "SHOW CREATE TABLE events FORMAT TSVRaw",
            "CREATE TABLE {workspace}.events\n(\n    `id` String,\n"
            "    `amount` Int32,\n    `at` DateTime\n)\nENGINE = MergeTree\nPRIMARY KEY at\nORDER BY at\n",
        ),
        ("SHOW SETTINGS LIKE 'max_result_rows'", "max_result_rows\tUInt64\t0\n"),
        (
            "SELECT name, value, readonly FROM system.settings WHERE name IN ('max_block_size', 'readonly') "
            "ORDER BY name",
            "max_block_size\t65409\t0\nreadonly\t1\t1\n",
        ),
        ("SELECT count() > 500 FROM system.settings", "1\n"),
        ("SHOW DICTIONARIES", ""),
        ("SHOW PROCESSLIST", ""),
        ("EXISTS TABLE events", "1\n"),
        ("EXISTS {workspace}.nothing", "0\n"),
        ("EXISTS VIEW totals", "1\n"),
        ("EXISTS VIEW events", "0\n"),
        ("EXISTS TABLE other.events", "0\n"),
        ("EXISTS TABLE system.tables", "1\n"),
        ("EXISTS TABLE system.users", "0\n"),
        ("EXISTS DATABASE default", "1\n"),
        ("EXISTS DATABASE other", "0\n"),
        ("USE default", ""),
        ("SET max_threads = 1", ""),
        (
            "DESCRIBE (SELECT id AS a, count() AS n FROM events GROUP BY a)",
            "a\tString\t\t\t\t\t\nn\tUInt64\t\t\t\t\t\n",
        ),
        (
            "SELECT table_name, TABLE_TYPE FROM information_schema.tables WHERE TABLE_SCHEMA = '{workspace}' "
            "ORDER BY 1",
            "events\tBASE TABLE\nstrict\tVIEW\ntotals\tVIEW\ntotals_copy\tBASE TABLE\n",
        ),
        (
            "SELECT COLUMN_NAME, data_type FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_NAME = 'totals' ORDER BY "
            "ordinal_position",
            "id\tString\ntotal\tInt64\n",
        ),
        ("SELECT schema_name FROM information_schema.schemata", "{workspace}\n"),
        ("SELECT count() FROM information_schema.key_column_usage", "0\n"),
        ("SELECT total_rows, total_bytes > 0 FROM system.tables WHERE name = 'events'", "3\t1\n"),
        ("SELECT total_rows FROM system.tables WHERE name = 'totals'", "\\N\n"),
        ("SELECT name FROM system.columns WHERE table = 'events' AND is_in_sorting_key", "at\n"),
        (
            "SELECT count() FROM events SETTINGS output_format_json_quote_64bit_integers = 1 FORMAT JSONEachRow",
            '{"count()":"3"}\n',
        ),
    ],
)
def test_what_clients_ask(client: Client, query: str, expected: str) -> None:
    name = client.workspace.name
    answer = ask(client, query.replace("{workspace}", name), param_n="42", param_s="a")
    assert (answer.status_code, answer.text) == (200, expected.replace("{workspace}", name))


def known_tools() -> list[tuple[str, str]]:
    text = (Path(__file__).parent / "client_queries.txt").read_text(encoding="utf-8")
    cases = re.findall(r"^((?:(?![=#]).+\n)+)=>(.*)$", text, flags=re.MULTILINE)
    return [(query, found.strip().replace("\\t", "\t").replace("\\n", "\n")) for query, found in cases]


@pytest.mark.parametrize(("query", "expected"), known_tools())
def test_what_known_tools_ask(client: Client, query: str, expected: str) -> None:
    name = client.workspace.name
    answer = ask(client, query.replace("{workspace}", name))
    wanted = f"{expected}\n" if expected else ""
    assert (answer.status_code, answer.text) == (200, wanted.replace("{workspace}", name))


class Raw(io.BytesIO):
    """What clickhouse-driver reads a connection with."""

    def read_one(self) -> int:
        return self.read(1)[0]


def test_clickhouses_own_compression(client: Client) -> None:
    """Read with the library that reads it from ClickHouse."""
    for query in ("SELECT number FROM numbers(3)", "SELECT number FROM numbers(500000)", "SELECT 1 WHERE 0"):
        plain, packed = ask(client, query), ask(client, query, compress="1")
        raw = Raw(packed.content)
        stream = CompressedBlockInputStream(raw, None)
        found = b""
        while raw.tell() < len(packed.content):
            found += stream.read_block()
        assert found == plain.content
        assert len(packed.content) < len(plain.content) + 50
    assert ask(client, "SELECT nope", compress="1").text.startswith("Code: 47. DB::Exception")


@pytest.mark.parametrize(
    ("query", "status", "number"),
    [
        ("SELECT * FROM system.users", 400, "164"),
        ("SELECT * FROM other.events", 404, "81"),
        ("SELECT * FROM nothing", 404, "60"),
        ("INSERT INTO events VALUES ('x', 1, now())", 400, "164"),
        ("SELECT * FROM file('/etc/passwd')", 400, "164"),
        ("SELECT nope FROM events", 400, "47"),
        ("SELECT 'x' FROM events WHERE", 400, "62"),
        ("DESCRIBE file('/etc/passwd')", 400, "164"),
        ("SHOW TABLES FROM other", 404, "81"),
        ("SHOW THINGS", 400, "62"),
        ("USE other", 404, "81"),
        ("DESCRIBE nothing", 404, "60"),
        ("SHOW CREATE TABLE default.nothing", 404, "60"),
        ("CREATE TABLE x (a Int8) ENGINE Memory", 400, "164"),
        ("/* a */ alter table events delete where 1", 400, "164"),
        ("SELECT 1 FORMAT Nothing", 400, "73"),
        ("SELECT 1 FORMAT Protobuf", 400, "73"),
        ("SELECT {x:String}", 400, "456"),
    ],
)
def test_what_is_refused(client: Client, query: str, status: int, number: str) -> None:
    answer = ask(client, query)
    assert (answer.status_code, answer.headers["x-clickhouse-exception-code"]) == (status, number), answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.fullmatch(r"Code: \d+\. DB::Exception: .+[.!?] \([A-Z_]{4,}\)\n", answer.text, re.DOTALL), answer.text
    assert "ws_" not in answer.text


def test_a_token_sees_what_it_may_read_only(client: Client) -> None:
    assert ask(client, "SHOW TABLES", token="reader").text == "totals\n"
    assert ask(client, "SELECT DISTINCT table FROM system.columns", token="reader").text == "totals\n"
    assert ask(client, "SELECT count() FROM events", token="reader").status_code == 403
    mine = {"type": "DATASOURCES:READ", "resource": "events", "filter": "id = 'a'"}
    client("POST", "/v0/tokens", params={"name": "mine"}, json={"scopes": [mine]})
    assert ask(client, "SELECT count() FROM events", token="mine").text == "2\n"


def test_clickhouse_connect_connects(client: Client, port: int) -> None:
    connected = clickhouse_connect.get_client(
        host="127.0.0.1", port=port, username="default", password=client.token("workspace admin token").value
    )
    try:
        result = connected.query("SELECT id, sum(amount) AS total, max(at) AS at FROM events GROUP BY id ORDER BY id")
        assert result.column_names == ("id", "total", "at")
        assert [row[:2] for row in result.result_rows] == [("a", 4), ("b", 2)]
        found = connected.query("SELECT id FROM totals WHERE id = {id:String}", parameters={"id": "b"})
        assert found.result_rows == [("b",)]
        assert connected.command("SELECT count() FROM events") == 3
        with pytest.raises(Exception, match="UNKNOWN_IDENTIFIER"):
            connected.query("SELECT nope FROM events")
    finally:
        connected.close()
