from __future__ import annotations

import pytest

from clickpipe.sql import order_keys
from tests.sql.conftest import Read


@pytest.mark.parametrize(
    ("sql", "keys"),
    [
        ("SELECT a FROM t", ()),
        ("SELECT a FROM t ORDER BY a", ("a",)),
        ("SELECT a, b FROM t ORDER BY `b` DESC, 1 LIMIT 3", ("b", 1)),
        ("SELECT a FROM t AS x ORDER BY x.a", ("a",)),
        ("SELECT a, b FROM t ORDER BY a, lower(b), c", ("a",)),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", ()),
        ("WITH x AS (SELECT 1 AS a) SELECT a FROM x ORDER BY a NULLS LAST", ("a",)),
        ("SELECT a FROM t UNION ALL SELECT a FROM u", ()),
        ("SELECT 1 ORDER BY 1 + 1", ()),
    ],
)
def test_what_decides_the_order(sql: str, keys: tuple[str | int, ...], read: Read) -> None:
    assert order_keys(read(sql).tree) == keys
