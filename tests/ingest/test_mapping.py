"""Events as they come in, the rows they become, and what lands in quarantine with which reason.

A case in `mapping/*.txt` has `--- schema` (columns), `--- events` (one document a line), and then
`--- rows` and `--- quarantine`, one JSON object a line: rows as SELECT gives them; of the quarantine the
reasons (`column: text`), and with `--- kept` also its columns.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clickpipe.ingest import lines_of
from clickpipe.runtime import Workspace
from tests.cases import Case, case_parameters

REASONS = "SELECT arrayMap((c, e) -> concat(c, ': ', e), c__error_column, c__error) AS reasons FROM e_quarantine"
KEPT = "SELECT * EXCEPT (c__error_column, c__error, c__import_id, insertion_date) FROM e_quarantine"


def ndjson(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("case", case_parameters(Path(__file__).parent / "mapping"))
def test_events_become_rows_or_land_in_quarantine(case: Case, workspace: Workspace) -> None:
    workspace.deploy({"e.datasource": f"SCHEMA >\n{case['schema']}"})
    lines = lines_of(case["events"].encode())
    result = workspace.data.submit("e", lines).result()
    assert workspace.sql("SELECT * FROM e") == ndjson(case.get("rows"))
    assert [row["reasons"] for row in workspace.sql(REASONS)] == [r["reasons"] for r in ndjson(case.get("quarantine"))]
    if "kept" in case.sections:
        assert workspace.sql(KEPT) == ndjson(case["kept"])
    assert (result.successful_rows, result.quarantined_rows) == (
        len(ndjson(case.get("rows"))),
        len(ndjson(case.get("quarantine"))),
    )


def test_blanks_in_a_large_body_are_no_lines_and_no_part_of_one(workspace: Workspace) -> None:
    workspace.deploy({"e.datasource": "SCHEMA >\n    id String,\n    n Int32\n"})
    padding = b'{"id": "a", "n": 1}\n' * 10_000
    lines = lines_of(padding + b'\n\n \t{"id": "b", "n": 2}\t\n   \n\n{"id": "c", "n": "x"} \n')
    result = workspace.data.submit("e", lines).result()
    assert (result.successful_rows, result.quarantined_rows) == (10_001, 1)
    assert workspace.sql("SELECT id, n FROM e WHERE n > 1") == [{"id": "b", "n": 2}]
    assert workspace.sql("SELECT id, c__error FROM e_quarantine ORDER BY id") == [
        {"id": "c", "c__error": ["value 'x' on column 'n' is not Int32"]}
    ]


@pytest.mark.parametrize("count", [10, 30_000])
def test_rows_of_a_request_keep_their_order(workspace: Workspace, count: int) -> None:
    workspace.deploy({"e.datasource": "SCHEMA >\n    k String,\n    n Int32\n\nENGINE_SORTING_KEY k\n"})
    workspace.data.submit("e", lines_of(b"\n".join(b'{"k":"a","n":%d}' % n for n in range(count)))).result()
    assert [row["n"] for row in workspace.sql("SELECT n FROM e")] == list(range(count))


def test_a_line_that_is_no_object_is_kept_whole(workspace: Workspace) -> None:
    workspace.deploy({"e.datasource": "SCHEMA >\n    id String\n"})
    line = '{"id": "' + "x" * 5_000
    workspace.data.submit("e", lines_of(line.encode())).result()
    expected = [{"c__error": [f"the line is not a JSON object: {line}"]}]
    assert workspace.sql("SELECT c__error FROM e_quarantine") == expected
