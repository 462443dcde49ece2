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
    result = workspace.submit("e", lines).result()
    assert workspace.sql("SELECT * FROM e") == ndjson(case.get("rows"))
    assert [row["reasons"] for row in workspace.sql(REASONS)] == [r["reasons"] for r in ndjson(case.get("quarantine"))]
    if "kept" in case.sections:
        assert workspace.sql(KEPT) == ndjson(case["kept"])
    assert (result.successful_rows, result.quarantined_rows) == (
        len(ndjson(case.get("rows"))),
        len(ndjson(case.get("quarantine"))),
    )
