"""Commands that call a server: deploy a project, send events, ask."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from clickpipe.config import ServerAddress, publish_address
from tests.cli.conftest import ADMIN_TOKEN, Run
from tests.conftest import ROOT, python_environment

EVENT = {
    "event_id": "e1",
    "user_id": "u1",
    "session_id": "s1",
    "event_type": "page_view",
    "page_url": "/",
    "page_title": "Home",
    "referrer": "",
    "timestamp": "2023-05-01 10:00:00",
    "device_type": "desktop",
    "browser": "Firefox",
    "properties": "{}",
}


def test_events_in_and_rows_out(deployed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads(deployed("sql", "SELECT count() AS n FROM clickstream_events", "--json").out)[0]["n"]
    rows = [json.dumps({**EVENT, "event_id": f"e{n}"}) for n in range(3)]
    (tmp_path / "rows.ndjson").write_text("\n".join([*rows, "no json", ""]))
    (tmp_path / "rows.ndjson.gz").write_bytes(gzip.compress(rows[0].encode(), mtime=0))
    (tmp_path / "rows.json").write_text(json.dumps([EVENT, EVENT], indent=1))
    result = deployed("datasource", "append", "clickstream_events", tmp_path / "rows.ndjson")
    assert result.out == "3 rows appended to clickstream_events, 1 went to quarantine\n"
    assert "clickpipe datasource quarantine clickstream_events" in result.err
    assert deployed("datasource", "append", "clickstream_events", tmp_path / "rows.ndjson.gz").out.startswith("1 row ")
    assert deployed("datasource", "append", "clickstream_events", tmp_path / "rows.json").out.startswith("2 rows ")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows[0].encode())))
    counts = json.loads(deployed("datasource", "append", "clickstream_events", "-", "--json").out)
    assert (counts["status"], counts["successful_rows"], counts["quarantined_rows"]) == ("done", 1, 0)
    after = json.loads(deployed("sql", "SELECT count() AS n FROM clickstream_events", "--json").out)[0]["n"]
    assert after == before + 7
    found = {s["name"]: s for s in json.loads(deployed("datasource", "ls", "--json").out)}
    assert found["clickstream_events"]["statistics"]["row_count"] == after


def test_rows_of_files_are_looked_at_replaced_and_deleted(deployed: Run, tmp_path: Path) -> None:
    for name in ("clickstream_events", "clickstream_events_quarantine"):
        assert deployed("datasource", "truncate", name, "--yes").out == f"{name} is empty\n"
    rows = [json.dumps({"event_id": f"e{n}", "timestamp": f"2026-01-0{n} 00:00:00"}) for n in range(1, 5)]
    (tmp_path / "rows.ndjson").write_text("\n".join(rows))
    result = deployed("datasource", "append", "clickstream_events", tmp_path / "rows.ndjson")
    assert (result.code, result.out) == (1, "0 rows appended to clickstream_events, 4 went to quarantine\n")
    shown = deployed("datasource", "quarantine", "clickstream_events")
    assert "value is missing or null on column 'user_id'" in shown.out
    assert "clickpipe datasource quarantine clickstream_events replay" in shown.err
    replayed = deployed("datasource", "quarantine", "clickstream_events", "replay")
    assert replayed.out == "0 rows moved to clickstream_events, 4 left in quarantine\n"
    columns = [*EVENT]
    lines = [",".join(columns)] + [",".join([f"e{n}", *map(str, [*EVENT.values()][1:])]) for n in range(4)]
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    deployed("datasource", "append", "clickstream_events", tmp_path / "rows.csv.gz")
    data = json.loads(deployed("datasource", "data", "clickstream_events", "--limit", 9, "--json").out)
    assert sorted(row["event_id"] for row in data) == ["e0", "e1", "e2", "e3"]
    assert "event_id" in deployed("datasource", "data", "clickstream_events").out
    where = ("--where", "event_id IN ('e1', 'e2')")
    dry = deployed("datasource", "delete", "clickstream_events", *where, "--dry-run")
    assert dry.out == "2 rows of clickstream_events would be deleted\n"
    deleted = deployed("datasource", "delete", "clickstream_events", *where, "--yes")
    assert deleted.out == "2 rows deleted\n"
    assert "to rebuild it: clickpipe materialization populate daily_pages_mv" in deleted.err
    (tmp_path / "one.json").write_text(json.dumps({**EVENT, "event_id": "e0", "user_id": "new"}))
    replace = ("datasource", "replace", "clickstream_events", tmp_path / "one.json")
    replaced = deployed(*replace, "--condition", "event_id = 'e0'")
    assert replaced.out == "1 row now in clickstream_events\n"
    assert "to rebuild it: clickpipe materialization populate daily_pages_mv" in replaced.err
    rows = json.loads(deployed("sql", "SELECT event_id, user_id FROM clickstream_events ORDER BY 1", "--json").out)
    assert [row["event_id"] for row in rows] == ["e0", "e3"]
    assert rows[0]["user_id"] == "new"
    refused = deployed(*replace, "--condition", "event_id = 'e9'")
    assert (refused.code, "1 of the new rows do not meet the replace_condition" in refused.err) == (1, True)
    deployed("datasource", "truncate", "clickstream_events_quarantine", "--yes")
    assert (
        "no row of clickstream_events is in quarantine"
        in deployed("datasource", "quarantine", "clickstream_events").err
    )


def test_what_is_kept_aside(deployed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing is set aside" in deployed("datasource", "rejected", "ls").err
    nothing = deployed("datasource", "rejected", "replay", "gone")
    assert (nothing.code, "nothing is set aside of gone" in nothing.err) == (0, True)
    found = {"segments": 2, "left": 1}
    answer = httpx.Response(200, json=found)
    server = SimpleNamespace(request=lambda *_given, **_named: answer)
    monkeypatch.setattr("clickpipe.cli.kept.connect", lambda *_: server)
    left = deployed("datasource", "rejected", "replay")
    assert (left.code, left.out) == (1, "2 segments inserted\n")
    assert "1 segment still set aside: their data source is not deployed" in left.err
    assert json.loads(deployed("datasource", "rejected", "replay", "--json").out) == found


def test_the_header_of_a_file_is_told_of_and_a_table_is_not_emptied(deployed: Run, tmp_path: Path) -> None:
    file, own = tmp_path / "rows.csv", ("clickstream_events", tmp_path / "rows.csv")
    deployed("datasource", "truncate", "clickstream_events", "--yes")
    file.write_text("event_id;timestamp;colour\ne1;2026-01-01 00:00:00;red\ne2;never;blue\n")
    result = deployed("datasource", "append", *own)
    assert (result.code, result.out.split(", ")[0]) == (1, "1 row appended to clickstream_events")
    assert "ignored, because there is no such column: colour" in result.err
    assert "missing from the header, so they got their defaults: user_id" in result.err
    assert deployed("datasource", "append", *own, "--allow-quarantine").code == 0
    lacking = deployed("datasource", "replace", *own)
    assert (lacking.code, "The header does not name user_id" in lacking.err) == (1, True)
    file.write_text("event_id,timestamp\ne2,never\n")
    empty = deployed("datasource", "replace", *own, "--allow-missing")
    assert (empty.code, "none of its 1 rows fits: nothing was replaced" in empty.err) == (1, True)
    file.write_text("event_id,timestamp\n")
    empty = deployed("datasource", "replace", *own, "--allow-missing")
    assert (empty.code, "it has no rows: nothing was replaced" in empty.err) == (1, True)
    counted = "SELECT count() AS n FROM clickstream_events"
    assert json.loads(deployed("sql", counted, "--json").out) == [{"n": 2}]
    assert deployed("datasource", "replace", *own, "--allow-missing", "--allow-empty").code == 0
    assert json.loads(deployed("sql", counted, "--json").out) == [{"n": 0}]


def test_sql_prints_tables_and_formats(deployed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "SELECT number AS n, if(number = 1, NULL, 'x') AS s, [1, 2] AS a FROM numbers(2);"
    shown = deployed("sql", query, "--stats")
    assert [line.split() for line in shown.out.splitlines()][-2:] == [
        ["0", "x", "[1,", "2]"],
        ["1", "NULL", "[1,", "2]"],
    ]
    assert shown.err.startswith("2 rows, ")
    assert deployed("sql", query, "--format", "csv").out == '"n","s","a"\n0,"x","[1,2]"\n1,\\N,"[1,2]"\n'
    assert json.loads(deployed("sql", query, "--json").out)[0] == {"n": 0, "s": "x", "a": [1, 2]}
    monkeypatch.setattr(sys, "stdin", io.StringIO("SELECT 7 AS seven -- a comment"))
    assert json.loads(deployed("sql", "--json").out) == [{"seven": 7}]
    refused = deployed("sql", "DROP TABLE clickstream_events")
    assert (refused.code, "Only SELECT" in refused.err) == (1, True)


def test_endpoints(deployed: Run) -> None:
    listed = deployed("endpoint", "ls").out
    assert re.search(r"get_popular_pages +\[limit Int32\], \[start_date DateTime\], \[end_date DateTime\]", listed)
    deployed("datasource", "append", "clickstream_events", ROOT / "fixtures/clickstream_events.ndjson")
    rows = json.loads(deployed("endpoint", "data", "get_popular_pages", "-p", "limit=1", "--json").out)
    assert rows[0]["page_url"] == "/"
    csv = deployed("endpoint", "data", "get_popular_pages", "-p", "limit=1", "--format", "csv").out
    assert csv.splitlines()[0] == '"page_url","title","views","visitors"'
    wrong = deployed("endpoint", "data", "get_popular_pages", "-p", "limt=1")
    assert (wrong.code, "did you mean 'limit'?" in wrong.err) == (1, True)
    bad = deployed("endpoint", "data", "get_popular_pages", "-p", "limit=x")
    assert "Error validating 'x' to type Int32" in bad.err
    missing = deployed("endpoint", "url", "get_popular_page")
    assert (missing.code, "did you mean 'get_popular_pages'?" in missing.err) == (1, True)


def test_the_url_of_an_endpoint_answers(deployed: Run) -> None:
    plain = deployed("endpoint", "url", "get_user_journey", "-p", "user_id=u 1").out.strip()
    assert plain.endswith("/v0/pipes/get_user_journey.json?user_id=u+1")
    url = deployed("endpoint", "url", "get_user_journey", "--with-token").out.strip()
    assert httpx.get(url).json()["meta"][0]["name"] == "timestamp"


def test_a_server_of_this_folder_is_found(
    run: Run, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".clickpipe").mkdir()
    publish_address(tmp_path / ".clickpipe", ServerAddress(server, ADMIN_TOKEN))
    assert run("sql", "SELECT 1 AS one", "--json").code == 0
    # Its token is not sent to another server.
    assert "no token for http://127.0.0.1:1" in run("sql", "SELECT 1", "--host", "http://127.0.0.1:1").err


def test_copies_and_jobs(deployed: Run) -> None:
    (shown,) = [c for c in json.loads(deployed("copy", "ls", "--json").out) if c["name"] == "snapshot_sessions"]
    assert (shown["copy_mode"], shown["copy_paused"]) == ("replace", False)
    assert re.fullmatch(r"[\d,]+ rows? copied\n", deployed("copy", "run", "snapshot_sessions").out)
    started = deployed("copy", "run", "snapshot_sessions", "--no-wait").out.strip()
    assert "status: done" in deployed("job", "show", started, "--wait").out
    again = deployed("job", "retry", started).out.strip()
    assert json.loads(deployed("job", "show", again, "--wait", "--json").out)["status"] == "done"
    jobs = json.loads(deployed("job", "ls", "--kind", "copy", "--json").out)
    assert [j["id"] for j in jobs[:2]] == [again, started]
    assert "The job has ended: it is 'done'." in deployed("job", "cancel", again).err
    assert again in deployed("job", "ls").out
    assert "is not a copy pipe" in deployed("copy", "run", "get_sessions").err
    assert "does not exist" in deployed("job", "show", "nothing").err


def test_a_schedule_is_paused(on_server: Run, tmp_path: Path) -> None:
    on_server("init", tmp_path)
    (tmp_path / "pipes" / "often.pipe").write_text(
        "NODE n\nSQL >\n    SELECT toInt32(1) AS n\nTYPE copy\nTARGET_DATASOURCE ticks\nCOPY_SCHEDULE 0 3 29 2 *\n"
    )
    (tmp_path / "datasources" / "ticks.datasource").write_text("SCHEMA >\n    n Int32\n\nENGINE_SORTING_KEY n\n")
    assert on_server("deploy", tmp_path, "--allow-destructive-operations").code == 0
    for command, paused in (("pause", True), ("resume", False)):
        assert on_server("copy", command, "often").code == 0
        assert json.loads(on_server("copy", "ls", "--json").out)[0]["copy_paused"] is paused
    on_server("copy", "pause", "often")
    assert "0 3 29 2 * (paused)" in on_server("copy", "ls").out


def test_what_happened_is_told(deployed: Run) -> None:
    assert deployed("endpoint", "data", "get_sessions", "--format", "csv").code == 0
    assert deployed("endpoint", "data", "get_popular_pages", "-p", "limit=many").code == 1
    stats = {row["name"]: row for row in json.loads(deployed("endpoint", "stats", "--json").out)}
    assert stats["get_sessions"]["calls"] >= 1
    assert stats["get_popular_pages"]["errors"] >= 1
    assert "get_sessions" in deployed("endpoint", "stats", "get_sessions").out
    (error, *_) = json.loads(deployed("endpoint", "errors", "get_popular_pages", "--json").out)
    assert (error["status"], error["params"]) == (400, '{"limit": "many"}')
    assert "many" in deployed("endpoint", "errors").out
    assert deployed("endpoint", "errors", "o'brien").err == "no errors in the last 24h\n"
    lines = deployed("logs", "--since", "1h").out
    assert re.search(r"  200  get_sessions  GET [\d.]+ ms, \d+ rows, ", lines)
    assert re.search(r"  400  get_popular_pages  GET .*Error validating 'many'", lines)
    only = deployed("logs", "--source", "endpoint_errors", "--json").out.splitlines()
    assert {json.loads(line)["source"] for line in only} == {"endpoint_errors"}
    assert deployed("logs", "--since", "soon").code == 2


def test_a_querys_own_format_wins(deployed: Run) -> None:
    assert deployed("sql", "SELECT 1 AS one FORMAT CSV;").out == "1\n"


@pytest.mark.usefixtures("deployed")
@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_the_prompt(server: str, tmp_path: Path) -> None:
    import pty

    lines = ["SELECT 41", "  + 1 AS answer;", "SELECT nope;", "\\d get_sessions", "SELECT 7 AS x FORMAT CSV;", "\\q"]
    leader, follower = pty.openpty()
    environment = python_environment() | {"CLICKPIPE_SQL_HISTORY": str(tmp_path / "history"), "TERM": "dumb"}
    command = [sys.executable, "-m", "clickpipe", "sql", "--host", server, "--token", ADMIN_TOKEN]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=subprocess.PIPE, env=environment) as process:
        os.close(follower)
        shown = b""
        for line in lines:
            os.write(leader, f"{line}\n".encode())
        with contextlib.suppress(OSError):  # the other end is closed
            while part := os.read(leader, 65_536):
                shown += part
        assert process.stderr is not None
        errors = process.stderr.read()
    os.close(leader)
    assert process.returncode == 0, errors
    text = shown.decode().replace("\r", "")
    assert re.search(r"answer\n─+\n +42\n", text)
    assert "session_id  String\n" in text
    assert "7\n" in text
    assert b"Unknown expression identifier `nope`" in errors
    assert "SELECT nope;" in (tmp_path / "history").read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", ["/", "/v0", "/v0/"])
def test_the_host_as_people_write_it(deployed: Run, server: str, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.delenv("CLICKPIPE_HOST")
    said = deployed("sql", "SELECT 1 AS one", "--json", "--host", server + ending)
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == [{"one": 1}]
