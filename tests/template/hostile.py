"""Values that look like SQL, put into every kind of call at every place: `python -m tests.template.hostile 50000`."""

from __future__ import annotations

import json
import random
import sys
import uuid
from typing import Any

from clickpipe.diagnostics import Span, Word
from clickpipe.engine import EmbeddedEngine, Engine
from clickpipe.sql import OTHER
from clickpipe.template import Binder, TemplateError, TemplateProgram, compile_template

_PIECES = (
    *(
        "'",
        "''",
        '"',
        "`",
        "\\",
        "\\'",
        "--",
        "/*",
        "*/",
        "#",
        ";",
        "\0",
        "\n",
        "\r",
        "\t",
        "\b",
        "{",
        "}",
        "{x:String}",
    ),
    *("{{", "}}", "{%", "%}", "%", "?", "$1", "$$", "a", " OR 1=1", "; DROP TABLE t", "UNION ALL SELECT", "NULL", "😀"),
    *("é", "\u2028", "\ufeff", "\u202e", "(", ")", "[", "]", ",", "0x41", "1e309", "x'41'", "\\x00", "\\N", "\\0"),
)
_NUMBERS = ("0", "-1", "1", "007", " 5", "+3", "99999999999", "1e5", "0x10", "nan", "inf", "-", "", "1_000", "٣")
# Each place takes a call's value to where it is read back: `got` is the value as ClickHouse has it.
_PLACES = {
    "value": "SELECT {call} AS got",
    "where": "SELECT got FROM (SELECT {call} AS got) WHERE got = {call}",
    "function": "SELECT concat('', toString({call})) AS got",
    "quoted": "SELECT 'a{call}b' AS got",
    "quoted twice": "SELECT concat('it''s \\'', '{call}', '{call}') AS got",
    "in": "SELECT got FROM (SELECT {call} AS got) WHERE got IN ({call}, {call})",
    "array": "SELECT arrayElement([{call}], 1) AS got",
    "case": "SELECT CASE WHEN 1 THEN {call} ELSE {call} END AS got",
}
_COUNTS = {
    "limit": "SELECT count() AS got FROM (SELECT 1 FROM numbers(200) LIMIT {call})",
    "offset": "SELECT 200 - count() AS got FROM (SELECT 1 FROM numbers(200) LIMIT 1000 OFFSET {call})",
    "interval": "SELECT dateDiff('day', toDate('2024-01-01'), toDate('2024-01-01') + INTERVAL {call} DAY) AS got",
    "table function": "SELECT count() AS got FROM numbers({call})",
}


def text(rng: random.Random) -> str:
    """Return a hostile text."""
    return "".join(rng.choice(_PIECES) for _ in range(rng.randrange(6)))


def call_and_values(rng: random.Random) -> tuple[str, list[Any], dict[str, str]]:
    """Return a call on the parameter `x`, values for it, and the places it may stand at."""
    kind = rng.randrange(7)
    if kind <= 2:
        call = rng.choice(
            ["String(x)", "x", "String(x, 'a')", "sql_unescape(String(x), '%')", "JSON(y, '{}').get('a', x)"]
        )
        return call, [text(rng) for _ in range(3)], _PLACES
    if kind == 3:
        values = [rng.choice([*_NUMBERS, *map(str, range(100))]) for _ in range(4)]
        return rng.choice(["UInt8(x)", "Int32(x)", "Int64(x)", "Int32(x) + 0"]), values, _COUNTS
    if kind == 4:
        items = [[text(rng) for _ in range(rng.randrange(1, 4))] for _ in range(3)]
        return (
            "Array(x, 'String')",
            items,
            {"array value": "SELECT {call} AS got", "array in": "SELECT {call} AS got WHERE 1"},
        )
    if kind == 5:
        call = rng.choice(["Date(x)", "DateTime(x)", "DateTime64(x)", "UUID(x)"])
        good = [
            "2024-01-01",
            "2024-01-01 00:00:00",
            "2024-01-01 00:00:00.000",
            str(uuid.UUID(int=rng.getrandbits(128))),
        ]
        return call, [rng.choice(good) + rng.choice(["", text(rng)]) for _ in range(4)], _PLACES
    return rng.choice(["Float64(x)", "Boolean(x)", "Decimal(x)"]), [rng.choice(_NUMBERS) for _ in range(4)], _PLACES


def check(engine: Engine, rng: random.Random) -> int:
    """Try one call at one place with several values; return how many were taken."""
    call, values, places = call_and_values(rng)
    name = rng.choice(list(places))
    template = "%\n" + places[name].replace("{call}", f"{{{{{call}}}}}")
    program, problems = compile_template(Word(template, Span("p", 0, len(template))))
    assert isinstance(program, TemplateProgram), problems
    texts: set[str] = set()
    taken = 0
    for value in values:
        binder = Binder()
        try:
            sql = program.render({"x": value}, binder)
        except TemplateError:  # what a caller is told, with status 400
            continue
        texts.add(sql)
        taken += 1
        _read_back(engine, name, sql, binder.params, value, call)
    assert len(texts) <= 1, texts
    for sql in texts:
        assert engine.syntax_tree(sql) != OTHER
    return taken


def _read_back(engine: Engine, place: str, sql: str, params: dict[str, Any], value: Any, call: str) -> None:
    """Run the SQL; what comes back is what was bound, and for texts what was sent."""
    tree = engine.execute(f"EXPLAIN AST {sql}", params, output="TSVRaw").body.decode()
    assert tree.split(None, 1)[0] == "SelectWithUnionQuery", tree
    bound = next(iter(params.values()))
    if place in _COUNTS and bound not in range(100_000):
        return  # ClickHouse refuses some, and counts others from the end
    body = engine.execute(sql, params, output="JSONCompact", settings={"max_execution_time": 5}).body
    (row,) = json.loads(body)["data"] or [[None]]
    if place in _COUNTS:
        assert int(row[0]) == min(bound, 200 if place in {"limit", "offset"} else bound), (sql, bound, row)
    elif place == "array value":
        assert row[0] == (value if len(value) > 1 or "," not in value[0] else value[0].split(",")), (sql, value, row)
    elif place == "quoted":
        assert not isinstance(bound, str) or row[0] == f"a{bound}b", (sql, bound, row)
    elif place == "quoted twice":
        assert not isinstance(bound, str) or row[0] == f"it's '{bound}{bound}", (sql, bound, row)
    elif isinstance(bound, str) and place != "array in" and "Decimal" not in call:
        assert row[0] == bound, (sql, bound, row)
        assert "String" not in call or bound == value


def run(examples: int, engine: Engine, seed: int = 0) -> int:
    """Try so many values; return how many were taken."""
    rng = random.Random(seed)
    tried = taken = 0
    while tried < examples:
        taken += check(engine, rng)
        tried += 4
    return taken


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    found = EmbeddedEngine()
    sys.stdout.write(f"{wanted} values, {run(wanted, found)} of them taken: each arrived whole, none changed the SQL\n")
    found.close()
