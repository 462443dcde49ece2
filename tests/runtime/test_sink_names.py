"""Names of files come from rows, so from whoever sends events: no row is lost, whatever bytes it brings."""

from __future__ import annotations

import pytest

from clickpipe.runtime import Workspace
from tests.connect.buckets import TestBucket
from tests.runtime.sinks import data, deployed, ids, project, run

NAMES = {
    "a byte that begins nothing": "unhex('61ff')",
    "one that goes on with nothing": "unhex('8061')",
    "half of a letter": "unhex('61c3')",
    "half of a sign in its middle": "unhex('61e28261')",
    "longer than needed": "unhex('c0af2e2e')",
    "a surrogate": "unhex('61eda080')",
    "beyond Unicode": "unhex('f4908080')",
    "bytes of another charset": "unhex('fffe6100')",
    "the sign that stands for wrong bytes": "'a\\xef\\xbf\\xbd'",
    "half a letter before a slash": "unhex('61c32f62')",
    "a zero byte": "unhex('610062')",
    "zeros at the end": "toFixedString('ab', 5)",
    "a tab": "'a\\tb'",
    "a line break": "'a\\nb'",
    "a backslash": "concat('a', char(92), 'n')",
    "what stands for NULL": "concat(char(92), 'N')",
    "quotes": "concat(char(39), char(34), '`')",
    "nothing": "''",
}


@pytest.mark.parametrize("strategy", ["@new", "replace"])
def test_names_that_differ_in_odd_bytes_only_lose_no_row(workspace: Workspace, lake: TestBucket, strategy: str) -> None:
    rows = " UNION ALL ".join(
        f"SELECT toInt32({number}) AS id, toString({name}) AS kind" for number, name in enumerate(NAMES.values())
    )
    deployed(workspace, project(lake, "{kind}", f"SELECT id, kind FROM ({rows})", EXPORT_STRATEGY=strategy))
    job = run(workspace)
    assert (job.status, job.error, job.result["rows"]) == ("done", "", len(NAMES))
    found = {key: _ids(lake.get(key)) for key in data(lake)}
    assert sorted(id_ for each in found.values() for id_ in each) == [*range(len(NAMES))]
    assert {key: told["rows"] for key, told in job.result["files"].items()} == {k: len(v) for k, v in found.items()}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_file_has_the_rows_that_its_manifest_says(workspace: Workspace, lake: TestBucket, name: str) -> None:
    deployed(workspace, project(lake, "{kind}_{id}", f"SELECT id, {name} AS kind FROM events"))
    job = run(workspace)
    assert job.status == "done"
    assert [_ids(lake.get(key)) for key in data(lake)] == [[0], [1], [2], [3]]


def _ids(body: bytes) -> list[int]:
    return ids(body.replace(b"\0", b"").decode(errors="replace").encode())
