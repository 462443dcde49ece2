"""Commands that write files of a project: mock rows, data sources for files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.conftest import ROOT

ROWS = "".join(json.dumps({"user_id": f"u{n % 5}", "at": "2026-01-01 10:00:00", "n": n}) + "\n" for n in range(40))


def test_mock_writes_rows_to_the_terminal_or_a_file(run: Run, tmp_path: Path) -> None:
    printed = run("mock", "clickstream_events", ROOT, "--rows", "7", "--until", "2026-01-31")
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert (printed.code, len(rows), rows[0].keys() >= {"event_id", "timestamp"}) == (0, 7, True)
    path = tmp_path / "new" / "rows.ndjson"
    written = run("mock", "clickstream_events", ROOT, "--rows", "7", "--until", "2026-01-31", "-o", path)
    assert (written.out, "7 rows written to" in written.err) == ("", True)
    assert path.read_text() == printed.out
    (tmp_path / "odd.datasource").write_text("SCHEMA >\n    id String `json:$..x`\n")
    odd = run("mock", "odd", tmp_path)
    assert (odd.code, odd.out, "odd.datasource:2:" in odd.err, "'$..x' is not valid" in odd.err) == (1, "", True, True)
    wrong = run("mock", "clickstream_event", ROOT)
    assert (wrong.code, "did you mean 'clickstream_events'?" in wrong.err) == (1, True)


def test_a_data_source_is_made_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "Web-events.ndjson"
    file.write_text(ROWS)
    shown = run("datasource", "analyze", file)
    assert "$.user_id" in shown.out
    analysis = json.loads(run("datasource", "analyze", file, "--json").out)["analysis"]
    assert analysis["schema"].startswith("user_id String `json:$.user_id`, at DateTime `json:$.at`, n Int16")
    made = run("datasource", "create", "--from", file, "--folder", tmp_path)
    path = tmp_path / "datasources" / "web_events.datasource"
    assert (made.code, str(path) in made.err) == (0, True)
    assert 'ENGINE_SORTING_KEY "user_id, at"' in path.read_text()
    assert run("check", tmp_path).code == 0
    assert run("fmt", "--check", tmp_path).code == 0
    again = run("datasource", "create", "--from", file, "--folder", tmp_path)
    assert (again.code, "exists already" in again.err) == (1, True)
    assert run("datasource", "create", "--from", file, "--folder", tmp_path, "--force").code == 0
    (tmp_path / "rows.xml").write_text("<a/>")
    assert run("datasource", "analyze", tmp_path / "rows.xml").code == 1


def test_keys_that_no_jsonpath_can_name_are_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "odd.ndjson").write_text(json.dumps({"a": 1, "it's": 2, "b": {"c\\d": 3}, "": 4}))
    made = run("datasource", "create", "--from", tmp_path / "odd.ndjson", "--folder", tmp_path)
    assert made.code == 0
    assert """left out, because no jsonpath can name them: "it's", 'b.c\\\\d', ''""" in made.err
    assert run("check", tmp_path).code == 0
