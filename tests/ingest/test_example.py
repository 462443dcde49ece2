from __future__ import annotations

import pytest

from clickpipe.columns import example_event
from clickpipe.runtime import Workspace
from tests.ingest.hostile import TYPES

SCHEMAS = [
    ("id String `json:$.id`, n Int32 `json:$.n`", {"id": "id-1", "n": 1}),
    ("id String, n UInt64", {"id": "id-1", "n": 1}),
    ("a String `json:$.x.a`, b Float64 `json:$.x.y.b`", {"x": {"a": "a-1", "y": {"b": 1.5}}}),
    ("tags Array(String) `json:$.tags[:]`", {"tags": ["tags-1"]}),
    (
        "ids Array(Int32) `json:$.items[:].id`, names Array(String) `json:$.items[:].name`",
        {"items": [{"id": 1, "name": "names-1"}]},
    ),
    ("deep Array(Array(Int8)) `json:$.a[:].b[:]`", {"a": [{"b": [1]}]}),
    ("whole String `json:$`, id String `json:$.id`", {"id": "id-1"}),
    ("a String `json:$.a`, made String DEFAULT 'x'", {"a": "a-1"}),
    ("m Map(String, UInt8) `json:$.m`", {"m": {"m-1": 1}}),
    ("t Tuple(lat Float64, label String) `json:$.t`", {"t": {"lat": 1.5, "label": "t-1"}}),
    ("t Tuple(Int8, String) `json:$.t`", {"t": [1, "t-1"]}),
    ("e Enum8('good' = 1, 'bad' = 2) `json:$.e`", {"e": "good"}),
    ("f FixedString(3) `json:$.f`", {"f": "xxx"}),
    ("d Date `json:$.d`, s DateTime('Europe/Berlin') `json:$.s`, m DateTime64(3) `json:$.m`", None),
    ("n Nullable(Int8) `json:$.n`, l LowCardinality(Nullable(String)) `json:$.l`", {"n": 1, "l": "l-1"}),
    ("b Bool `json:$.b`, u UUID `json:$.u`, i IPv4 `json:$.i`, j IPv6 `json:$.j`, d Decimal(9, 2) `json:$.d`", None),
    ("j JSON `json:$.j`", {"j": {"key": "value"}}),
    ("a String `json:$.p`, b Float64 `json:$.p.b`, c String `json:$.p.q.c`", {"p": {"b": 1.5, "q": {"c": "c-1"}}}),
    ("a String `json:$.l`, b Array(Int8) `json:$.l[:].b`", {"l": [{"b": 1}]}),
]


@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_the_example_of_every_type_fits(columns: Workspace, number: int) -> None:
    name = f"t{number}"
    columns.data.truncate(name)
    result = columns.ingest(name, [example_event(columns.queries.live().compiled.data_sources[name])])
    assert columns.sql(f"SELECT c__error FROM {name}_quarantine") == []
    assert result.successful_rows == 1


@pytest.mark.parametrize(("columns", "event"), SCHEMAS)
def test_the_example_fits(workspace: Workspace, columns: str, event: dict[str, object] | None) -> None:
    workspace.deploy({"e.datasource": f"SCHEMA >\n    {columns}\n"})
    assert workspace.live is not None
    found = example_event(workspace.live.compiled.data_sources["e"])
    assert event is None or found == event
    result = workspace.ingest("e", [found])
    assert workspace.sql("SELECT c__error FROM e_quarantine") == []
    assert (result.successful_rows, result.quarantined_rows) == (1, 0)
