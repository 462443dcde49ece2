"""The name of a function in place of a lambda (`arrayMap(lower, words)`) is judged as a call of the function is."""

from __future__ import annotations

import json
import re

import pytest

from clickpipe.engine import Engine, EngineError
from clickpipe.sql import check
from clickpipe.sql.determinism import reads
from clickpipe.sql.slow import refuse_slow
from clickpipe.sql.tree import TAKE_LAMBDAS, read_tree
from clickpipe.sql.unfailing import may_fail

# Arguments for which some function of each kind is right: the name of a function is at each place once.
_SHAPES = (
    *("toString, ['a']", "toString, ['a'], ['b']", "concat, ['a'], ['b']", "equals, [1], [1]", "negate, [1]"),
    *("toUInt8, [1]", "negate, 1, [1]", "plus, [1], 0", "equals, map(1, 1)", "tuple, map(1, 1)", "plus, map(1, 1)"),
    *("plus, 1, map(1, 1)", "['a'], toString", "1, negate, [1]", "[1], negate, 0", "map(1, 1), equals", "negate, 1"),
    *("1, negate", "negate, 1, 1", "identity, map(1, 1)", "[1], 0, plus", "1, [1], negate", "'a', toString", "negate"),
)
_FILE = "/etc/passwd"


def _told(engine: Engine, call: str) -> str:
    try:
        return engine.execute(f"EXPLAIN QUERY TREE SELECT {call}").body.decode()
    except EngineError as error:
        return str(error)


def _takes_no_lambda(engine: Engine, name: str) -> bool:
    shapes = ("x -> x", "x -> x, [1]", "x -> x, 1, 1")
    return any("lambda-expressions as arguments" in _told(engine, f"`{name}`({shape})") for shape in shapes)


def test_these_functions_take_them_and_no_others(engine: Engine) -> None:
    asked = "SELECT name FROM system.functions WHERE NOT is_aggregate AND name NOT ILIKE 'sleep%'"
    found: dict[str, set[str]] = {}
    for name in (str(row["name"]) for row in json.loads(engine.execute(asked).body)["data"]):
        for shape in () if _takes_no_lambda(engine, name) else _SHAPES:
            if re.search(r"__function_ref|lambda\(", _told(engine, f"`{name}`({shape})")):
                found.setdefault(name.lower(), set()).add(shape)
    assert found.keys() == TAKE_LAMBDAS
    first = {"toString", "concat", "equals", "negate", "toUInt8", "plus", "tuple", "identity"}
    assert {shape.split(",")[0] for shapes in found.values() for shape in shapes} <= first


@pytest.mark.parametrize(
    "expression",
    [
        f"arrayMap(file, ['{_FILE}'])",
        f"arrayMap(`file`, ['{_FILE}'])",
        f"arrayMap((file), ['{_FILE}'])",
        f"arrayMap(\"file\", ['{_FILE}'])",
        f"arrayMap(file AS f, ['{_FILE}'])",
        f"arrayMap(x -> arrayMap(file, [x]), ['{_FILE}'])",
        f"arraySort(file, ['{_FILE}'])",
        f"arrayFilter(x -> arrayExists(file, [x]), ['{_FILE}'])",
        f"arrayFold(file, ['{_FILE}'], '')",
        f"mapApply(file, map('{_FILE}', 'b'))",
        f"arrayPartialSort(file, 1, ['{_FILE}'])",
        f"arrayTopK(file, 1, ['{_FILE}'])",
        f"if(1, arrayMap(file, ['{_FILE}']), [])",
        f"(SELECT arrayMap(file, ['{_FILE}']))",
        f"arrayMap(x -> x, arrayMap(file, ['{_FILE}']))",
        "arrayMap(getServerSetting, ['path'])",
        "arrayMap(joinGet, ['a'], ['b'], [1])",
        "arrayMap(dictGet, ['a'], ['b'], [1])",
        "arrayMap(sleepEachRow, [0.1])",
        "arrayMap(hasColumnInTable, ['a'], ['b'], ['c'])",
    ],
)
@pytest.mark.parametrize(
    "around", ["SELECT {}", "SELECT 1 WHERE ignore({})", "SELECT 1 ORDER BY {}", "WITH {} AS x SELECT x"]
)
def test_a_refused_function_is_refused_by_its_name_too(engine: Engine, expression: str, around: str) -> None:
    refusal = check(engine.syntax_tree(around.format(expression)), ())
    assert refusal is not None
    assert "not allowed" in refusal.message or "takes the name" in refusal.message


@pytest.mark.parametrize(
    "expression",
    [
        "arrayMap(lower, ['A'])",
        "arraySort(negate, [1])",
        "arrayFold(plus, [1], toInt64(0))",
        "arrayMap(x -> lower(x), ['A'])",
        "arraySum(file) FROM (SELECT [1] AS file)",
        "arrayMap(x -> x, file) FROM (SELECT [1] AS file)",
        "user[1] FROM (SELECT [1] AS user)",
        "concat(user, 'x') FROM (SELECT 'a' AS user)",
    ],
)
def test_others_run_as_before(engine: Engine, expression: str) -> None:
    sql = f"SELECT {expression}"
    assert check(engine.syntax_tree(sql), ()) is None
    engine.execute(sql)


def test_what_else_is_known_of_functions_holds_for_their_names(engine: Engine) -> None:
    changing = frozenset({"rand", "now64"})
    assert reads(engine.syntax_tree("SELECT arrayMap(lower, ['a'])"), changing).deterministic
    assert not reads(engine.syntax_tree("SELECT arrayMap(rand, [1])"), changing).deterministic
    assert next(refuse_slow(read_tree(engine.syntax_tree("SELECT arrayMap(editDistance, a, b)"))), None)
    assert may_fail(engine.syntax_tree("SELECT arrayMap(throwIf, a)"), decimals=False, times=False)
    assert may_fail(engine.syntax_tree("SELECT arrayMap(toInt32, ['x'])"), decimals=False, times=False)
