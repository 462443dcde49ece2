"""Composed SQL is what its authors wrote with tables replaced, or it is refused."""

from __future__ import annotations

import dataclasses

import pytest

from clickpipe.compiler import CompiledProject, Composer
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine
from clickpipe.sql import Composition, is_as_meant
from clickpipe.template import Binder
from tests.conftest import Compile

FILES = {
    "datasources/events.datasource": "SCHEMA >\n    id String,\n    n Int32\n",
    "datasources/prices.datasource": (
        "SCHEMA >\n    sku String,\n    price Float64\n"
        "ENGINE Join\nENGINE_JOIN_STRICTNESS ANY\nENGINE_JOIN_TYPE LEFT\nENGINE_KEY_COLUMNS sku\n"
    ),
    "pipes/low.pipe": "NODE n\nSQL >\n    SELECT hex(n) AS h, id FROM events WHERE n < 5\nTYPE endpoint\n",
}


@pytest.fixture(scope="session")
def compiled(compile_files: Compile) -> CompiledProject:
    found = compile_files(FILES)
    assert not found.diagnostics
    return found


def composed(compiled: CompiledProject, sql: str) -> Composition:
    def table(name: str) -> str | None:
        known = name.removesuffix("_quarantine") in compiled.data_sources
        return f"`ws_1`.`{name}_0`" if known else None

    return Composer(compiled.project, compiled.reader, table).text(sql, None, None, {}, Binder())


LOW = "(\nSELECT hex(n) AS h, id FROM `ws_1`.`events_0` AS `events` WHERE n < 5\n)"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT id FROM events", "SELECT id FROM `ws_1`.`events_0` AS `events`"),
        ("SELECT id FROM low", f"SELECT id FROM {LOW} AS `low`"),
        ("SELECT low.id FROM events JOIN low l ON low.id = events.id", f"SELECT `l`.id FROM `ws_1`.`events_0` AS `events` JOIN {LOW} l ON `l`.id = events.id"),
        ("SELECT e.id, events.n FROM events e", "SELECT e.id, `e`.n FROM `ws_1`.`events_0` e"),
        ("SELECT 1 WHERE 'x' IN low", f"SELECT 1 WHERE 'x' IN {LOW}"),
        ("WITH ['x'] AS low SELECT 1 WHERE 'x' IN low", "WITH ['x'] AS low SELECT 1 WHERE 'x' IN low"),
        ("SELECT id FROM events WHERE n IN id", "SELECT id FROM `ws_1`.`events_0` AS `events` WHERE n IN id"),
        ("SELECT joinGet('prices', 'price', 'a')", "SELECT joinGet('ws_1.prices_0', 'price', 'a')"),
        ("SELECT joinGetOrNull(prices, 'price', 'a')", "SELECT joinGetOrNull(`ws_1`.`prices_0`, 'price', 'a')"),
        ("SELECT c__error FROM events_quarantine", "SELECT c__error FROM `ws_1`.`events_quarantine_0` AS `events_quarantine`"),
        ("(SELECT id FROM low) UNION ALL (SELECT id FROM low)", f"(SELECT id FROM {LOW} AS `low`) UNION ALL (SELECT id FROM {LOW} AS `low`)"),
        ("SELECT id FROM events FINAL SAMPLE 1/2", "SELECT id FROM `ws_1`.`events_0` AS `events` FINAL SAMPLE 1/2"),
    ],
)  # fmt: skip
def test_tables_are_replaced_and_nothing_else(sql: str, text: str, compiled: CompiledProject, engine: Engine) -> None:
    found = composed(compiled, sql)
    assert found.text == text
    assert is_as_meant(found, engine.syntax_tree(found.text))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM `ws_1`.`events_1` AS `events` JOIN `ws_1`.`prices_0` p ON 1",  # another table
        "SELECT id FROM `ws_1`.`events_0` AS `event` JOIN `ws_1`.`prices_0` p ON 1",  # another alias
        "SELECT id FROM `ws_1`.`events_0` JOIN `ws_1`.`prices_0` p ON 1",
        "SELECT id FROM events JOIN `ws_1`.`prices_0` p ON 1",
        "SELECT id, n FROM `ws_1`.`events_0` AS `events` JOIN `ws_1`.`prices_0` p ON 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN `ws_1`.`prices_0` p ON 0",
        "SELECT id FROM `ws_1`.`events_0` AS `events` FINAL JOIN `ws_1`.`prices_0` p ON 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN `ws_1`.`prices_0` p ON 1 WHERE 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN `ws_1`.`prices_0` p ON 1 SETTINGS max_threads = 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN (SELECT 1) p ON 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN numbers(1) p ON 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` JOIN `ws_1`.`prices_0` p ON 1 UNION ALL SELECT 1",
        "SELECT id FROM `ws_1`.`events_0` AS `events` LEFT JOIN `ws_1`.`prices_0` p ON 1",
        "DROP TABLE `ws_1`.`events_0`",
    ],
)
def test_what_is_not_as_meant_is_found(text: str, compiled: CompiledProject, engine: Engine) -> None:
    found = composed(compiled, "SELECT id FROM events JOIN prices p ON 1")
    assert is_as_meant(found, engine.syntax_tree(found.text))
    assert not is_as_meant(dataclasses.replace(found, text=text), engine.syntax_tree(text))


@pytest.mark.parametrize(
    "inner",
    [
        "SELECT hex(n) AS h, id FROM `ws_1`.`events_0` AS `events`",
        "SELECT hex(n) AS h, id FROM `ws_1`.`events_0` AS `events` WHERE n < 50",
        "SELECT n AS h, id FROM `ws_1`.`events_0` AS `events` WHERE n < 5",
        "SELECT hex(n) AS h, id FROM `ws_1`.`prices_0` AS `events` WHERE n < 5",
        "SELECT hex(n) AS h, id FROM `ws_1`.`events_0` AS `events` WHERE n < 5 UNION ALL SELECT '', id FROM `ws_1`.`events_0`",
    ],
)
def test_a_spliced_query_stays_as_its_author_wrote_it(inner: str, compiled: CompiledProject, engine: Engine) -> None:
    found = composed(compiled, "SELECT id FROM low")
    text = f"SELECT id FROM ({inner}) AS low"
    assert not is_as_meant(dataclasses.replace(found, text=text), engine.syntax_tree(text))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT id FROM absent", "Resource 'absent' not found"),
        ("SELECT id FROM evnts", "Resource 'evnts' not found"),
        ("SELECT joinGet('absent', 'price', 'a')", "Resource 'absent' not found"),
        ("WITH (x -> x) AS hex SELECT h FROM low", "The lambda 'hex' would replace the function hex() in 'n': give it another name."),
        ("SELECT arrayMap((x -> x) AS hex, [1]), h FROM low", "The lambda 'hex' would replace"),
        ("SELECT * FROM (WITH (x -> x) AS hex SELECT h FROM (SELECT h FROM low))", "The lambda 'hex' would replace"),
        ("SELECT (", "[Error] Syntax error"),
    ],
)  # fmt: skip
def test_what_cannot_be_composed_is_refused(sql: str, message: str, compiled: CompiledProject) -> None:
    with pytest.raises(ClickpipeError) as raised:
        composed(compiled, sql)
    assert str(raised.value).startswith(message)


def test_a_lambda_that_no_spliced_query_calls_is_its_authors_own(compiled: CompiledProject) -> None:
    assert composed(compiled, "WITH (x -> x + 1) AS next SELECT next(1), h FROM low").text.endswith("AS `low`")
