from __future__ import annotations

import pytest

from clickpipe.engine.versions import Versions


@pytest.mark.parametrize(
    ("statement", "written"),
    [
        ("INSERT INTO `ws_1`.`a` (x) SELECT 'ws_1.b', c.d FROM ws_1.e", ["ws_1.a"]),
        ("INSERT INTO ws_1.a VALUES ('www.example.com'), ('x.y')", ["ws_1.a"]),
        ("insert into table ws_1.a select 1", ["ws_1.a"]),
        ("ALTER TABLE ws_1.a ATTACH PARTITION ALL FROM ws_1.b", ["ws_1.a"]),
        ("TRUNCATE TABLE ws_1.a", ["ws_1.a"]),
        ("DROP TABLE IF EXISTS `ws_1`.`a`", ["ws_1.a"]),
        ("CREATE TABLE IF NOT EXISTS ws_1.a AS ws_1.b", ["ws_1.a"]),
        ("EXCHANGE TABLES `ws_1`.`a` AND `ws_1`.`b`", ["ws_1.a", "ws_1.b"]),
        ("RENAME TABLE ws_1.a TO ws_1.b", ["ws_1.a", "ws_1.b"]),
        ("OPTIMIZE TABLE ws_1.a FINAL", ["ws_1.a"]),
        ("DELETE FROM ws_1.a WHERE b.c = 1", ["ws_1.a"]),
        ("  \n INSERT INTO ws_1.a SELECT 1", ["ws_1.a"]),
        ("SELECT * FROM ws_1.a", []),
        ("CREATE MATERIALIZED VIEW ws_1.v TO ws_1.a AS SELECT * FROM ws_1.b", []),
        ("INSERT INTO `clickpipe_staged`.`import_64f4-3ecb` SELECT 1", []),
        ("DROP DATABASE IF EXISTS `ws_1` SYNC", []),
    ],
)
def test_what_is_written_to_counts_and_nothing_else(statement: str, written: list[str]) -> None:
    versions = Versions()
    versions.ran(statement)
    assert sorted(versions._of) == sorted(written)
    assert versions.of(["ws_1.a", "ws_1.b"]) == tuple(int(name in written) for name in ("ws_1.a", "ws_1.b"))
    versions.ran(statement)
    assert all(number == 2 for number in versions._of.values())


def test_data_is_never_kept() -> None:
    versions = Versions()
    for number in range(100):
        versions.ran(f"INSERT INTO ws_1.a VALUES ('host{number}.example{number}')")
    assert versions._of == {"ws_1.a": 100}
