"""Other names of ClickHouse's types mean the same: ClickHouse itself says which there are."""

from __future__ import annotations

import pytest

from clickpipe.columns import plain
from clickpipe.engine import Engine


def test_every_alias_of_the_engine_is_known(engine: Engine) -> None:
    sql = "SELECT name, alias_to FROM system.data_type_families WHERE alias_to != '' OR case_insensitive"
    rows = [line.split("\t") for line in engine.execute(sql, output="TSV").body.decode().splitlines()]
    assert len(rows) > 50
    rare = {"GEOMETRY", "ENUM", "DATETIME32"}  # of these the name that is judged by is another one
    for name, alias_to in rows:
        if name.upper() in rare or "LARGE OBJECT" in name or name.startswith("NATIONAL") or name.endswith("VARYING"):
            continue
        assert plain(name).upper() == (alias_to or name).upper(), name


@pytest.mark.parametrize(
    ("type_", "found"),
    [
        ("Nullable(BOOLEAN)", "Bool"),
        ("VARCHAR(255)", "String"),
        ("decimal(10, 2)", "Decimal(10, 2)"),
        ("INT(11)", "Int32"),
        ("LowCardinality(text)", "String"),
        ("DateTime64(3)", "DateTime64(3)"),
        ("Array(Boolean)", "Array(Boolean)"),
        ("String", "String"),
    ],
)
def test_names(type_: str, found: str) -> None:
    assert plain(type_) == found
