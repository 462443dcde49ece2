"""What a view's SELECT says, it says of its own workspace's tables: nothing else is read when it is made, or runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Lines
from clickpipe.runtime import Instance, Workspace

CANARY = "canary-of-others"
TABLE = "SCHEMA >\n    `id` UInt64 `json:$.id`,\n    `secret` String `json:$.secret`\n\nENGINE_SORTING_KEY id\n"
VIEW = "NODE n1\nSQL >\n    SELECT id, secret FROM src\n\nNODE mv\nSQL >\n    {}\n\nTYPE materialized\nDATASOURCE dst\n"
FAILS = "if(0, map(1), map())"  # what some readers of SQL cannot read
# What is read: the other tenant's table by its physical name, and the host's file.
READS = (
    "{table}",
    "(SELECT 2 AS id, file('{file}') AS secret)",
    "file('{file}', 'RawBLOB', 'secret String')",
    "(SELECT 1 AS id, toString(groupArray(concat(database, '.', name))) AS secret FROM system.tables)",
)
# How it is hidden from who looks for the tables of a SELECT.
WAYS = (
    "SELECT z.id AS id, z.secret AS secret FROM ( # FROM n1, {} AS z /*\n    (SELECT 1, " + FAILS + ") ) --*/",
    "SELECT id, secret FROM n1 UNION ALL SELECT id, secret FROM {} AS z",
    "SELECT n1.id AS id, z.secret AS secret FROM n1 CROSS JOIN {} AS z",
    "SELECT id, (SELECT any(secret) FROM {} AS z) AS secret FROM n1",
    "WITH n1 AS (SELECT * FROM {} AS z) SELECT id, secret FROM n1",
    "SELECT id, secret FROM n1 WHERE secret IN (SELECT secret FROM {} AS z) OR 1",
    "SELECT id, $h$ FROM n1 $h$ AS h, z.secret AS secret FROM n1, {} AS z",
    "SELECT id, secret FROM n1 /* /* */ */ , {} AS z",
    "SELECT id, secret FROM view(SELECT * FROM {} AS z)",
    "SELECT id, arrayJoin((SELECT groupArray(secret) FROM {} AS z)) AS secret FROM n1",
)


@pytest.fixture(scope="module")
def other(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Another tenant's table with the canary, and a file of the host with it."""
    file = tmp_path_factory.mktemp("host") / "passwd"
    file.write_text(CANARY)
    tenant = instance.workspaces.create(f"test_{uuid.uuid4().hex}")
    tenant.deploy({"other.datasource": TABLE})
    tenant.append("other", [Lines.of([b'{"id":1,"secret":"canary-of-others"}'])])
    assert tenant.live is not None
    yield {"table": tenant.live.physical.tables["other"], "file": str(file)}
    instance.workspaces.delete(tenant)


@pytest.mark.parametrize("read", READS, ids=["table", "file", "file function", "names"])
@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_a_view_reads_nothing_of_others(workspace: Workspace, other: dict[str, str], way: str, read: str) -> None:
    view = VIEW.format(way.replace("{}", read.format(**other)))
    with pytest.raises(ClickpipeError) as refusal:
        workspace.deploy({"src.datasource": TABLE, "dst.datasource": TABLE, "m.pipe": view})
    assert CANARY not in str(refusal.value)
    assert workspace.live is None


def test_the_same_view_of_its_own_table_works(workspace: Workspace, other: dict[str, str]) -> None:
    """The test above is not passed by views of any kind; and the canary is there."""
    view = VIEW.format("SELECT id, secret FROM n1")
    workspace.deploy({"src.datasource": TABLE, "dst.datasource": TABLE, "m.pipe": view})
    workspace.append("src", [Lines.of([b'{"id":7,"secret":"own"}'])])
    assert workspace.sql("SELECT secret FROM dst") == [{"secret": "own"}]
    assert Path(other["file"]).read_text() == CANARY
