"""What is stored is what ClickHouse's own JSONEachRow stores, or in quarantine, or one of the listed differences.

The list is the table under "What differs from JSONEachRow" in docs/ingestion.md: one row for each name in `LISTED`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from clickpipe.engine import Engine, EngineError, Settings
from clickpipe.ingest import lines_of
from clickpipe.runtime import Workspace
from clickpipe.sql import quote_literal
from tests.conftest import ROOT
from tests.ingest.hostile import TYPES, VALUES, made

_TEMPORAL = re.compile(r"\b(?:Date|Time)")
_INTEGER = re.compile(r"\bU?Int\d+|\bDateTime|\bEnum|\bDecimal|\bTime")


def documents(values: Sequence[tuple[int, str]]) -> str:
    return "\n".join(f'{{"id":{number},"v":{value}}}' for number, value in values)


def shown(type_: str) -> str:
    """SQL of a value as text, with the type that a Dynamic or Variant took."""
    if type_ == "Dynamic":
        return "concat(dynamicType(v), ' ', toString(v))"
    if type_.startswith("Variant("):
        return "concat(toString(variantType(v)), ' ', toString(v))"
    return "toString(v)"


def reference(engine: Engine, type_: str, values: Sequence[str], dates: str) -> dict[int, Any]:
    """What JSONEachRow makes of each value it takes."""
    return _read(engine, type_, list(enumerate(values)), dates)


def _read(engine: Engine, type_: str, values: Sequence[tuple[int, str]], dates: str) -> dict[int, Any]:
    structure, lines = quote_literal(f"id UInt32, v {type_}"), quote_literal(documents(values))
    sql = f"SELECT id, {shown(type_)} FROM format(JSONEachRow, {structure}, {lines})"
    settings: Settings = {"input_format_allow_errors_num": 1_000_000, "date_time_input_format": dates}
    if re.search("JSON|Dynamic|Variant", type_):  # there ClickHouse's values depend on the rows before
        settings = {**settings, "max_block_size": 1}
    try:
        rows = json.loads(engine.execute(sql, output="JSONCompact", settings=settings).body)["data"]
    except EngineError:  # one that is not skipped
        if len(values) == 1:
            return {}
        half = len(values) // 2
        return _read(engine, type_, values[:half], dates) | _read(engine, type_, values[half:], dates)
    return {int(number): text for number, text in rows}


Listed = Callable[[str, str, Any, Any], bool]
_EACH = 6
LEANING = (
    "[[1]]", "[null]", "[1,null]", '[["a"]]', "[[null]]", "[[[1]]]", '[{"a":1}]', '{"x":[null]}', '{"x":[[1]]}',
    "[9007199254740993]", "9007199254740993", "1.5", "[1.5]", '[{"a":[9007199254740993]}]', '[{"a":[1.5]}]',
    '[9007199254740993,"a"]', '{"a":1,"a":2}', '{"a":[]}', '"x"', '{"a":{"b":[null, null]}}', "[18446744073709551615]",
)  # fmt: skip
_REPEATED = re.compile(r'\{(?:[^{}]*,)?\s*("a")\s*:[^{}]*,\s*\1\s*:')
_NUMBER = re.compile(r"-?\d[\d.eE+-]*")


def refused(theirs: Any) -> bool:
    return bool(theirs == "refused")


def number_as_text(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """Shortest form: 1.10 is 1.1, 1e3 is 1000."""
    return not refused(theirs) and "String" in type_ and re.search(r"\d[.eE]|-0", value) is not None


def document_as_text(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """Without blanks, numbers in their shortest form."""
    return not refused(theirs) and "String" in type_ and re.search(r"[\[{]", value) is not None


def whole_number(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """1.0 and 1e3 are whole numbers, -0 is 0: fractions and exponents come through Float64."""
    whole = re.search(r"Int|\bDate\b|\bDate32", type_) is not None
    return whole and refused(theirs) and re.search(r"\d[.eE]|-0", value) is not None


def minus_zero(type_: str, value: str, mine: Any, theirs: Any) -> bool:
    return "Float" in type_ and "-0" in value and mine == theirs.replace("-0", "0")


def boolean(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """Spellings: "true", "yes", "on", "1", 1.0; and "true" for UInt8."""
    return refused(theirs) and ("Bool" in type_ or ("UInt8" in type_ and "true" in value.lower()))


def quoted_document(_type: str, value: str, _mine: Any, theirs: Any) -> bool:
    """A list or an object that is written as a text."""
    return refused(theirs) and re.search(r'"[\[{]', value) is not None


def list_as_tuple(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """A list gives a tuple with names its elements by position."""
    named = re.search(r"Tuple\(\w+ |Nested\(", type_) is not None
    return refused(theirs) and named and "[" in value and not _REPEATED.search(value)


def fixed_string(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """Numbers and booleans are texts for a FixedString too."""
    return refused(theirs) and "FixedString" in type_ and value[0] != '"'


def date_format(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """More formats than JSONEachRow takes; texts of 4, 6, 8 and 14 digits are calendar dates."""
    digits = re.search(r'"(\d{4}|\d{6}|\d{8})"', value) is not None
    return re.search(r"\bDate", type_) is not None and '"' in value and (digits or refused(theirs))


def large_time(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """13, 16 and 19 digits are milli-, micro- and nanoseconds; 14 a calendar time."""
    return "DateTime" in type_ and re.search(r"\d{11,}", value) is not None


def large_day(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """Numbers that are no day of the type's range are Unix times: JSONEachRow lets them overflow."""
    return re.search(r"\bDate(32)?\b", type_) is not None and re.search(r"-|\d{5,}", value) is not None


def time_of_day(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """A number is seconds in a Time64 too: JSONEachRow counts in its smallest unit."""
    return re.search(r"\bTime", type_) is not None and _NUMBER.search(value) is not None


def float_in_dynamic(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """1.0 and 1e3 are Int64, more than 64 bits are a String."""
    return "Dynamic" in type_ and re.search(r"\d[.eE]|-0", value) is not None


def list_in_dynamic(type_: str, value: str, mine: Any, theirs: Any) -> bool:
    """Elements are Nullable, whether one is null or not."""
    return type_ == "Dynamic" and value[0] == "[" and mine.rpartition(") ")[2] == theirs.rpartition(") ")[2]


def object_in_dynamic(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """An object is a JSON, not a Tuple."""
    return "Dynamic" in type_ and "{" in value


def time_in_dynamic(type_: str, value: str, _mine: Any, theirs: Any) -> bool:
    """Fewer texts are times: those that are in JSON."""
    return "Dynamic" in type_ and "-" in value and re.search(r"\d-\d", theirs) is not None


def float_in_json(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """-1e-400 is 0, fractions of more than 64 bits are texts."""
    return "JSON" in type_ and re.search(r"-\d+e-|\d{20}[.]", value) is not None


def text_in_variant(type_: str, value: str, _mine: Any, _theirs: Any) -> bool:
    """ "" and "true" stay texts: JSONEachRow makes numbers of them."""
    return "Variant(" in type_ and re.search(r'""|"true"|"false"', value) is not None


def enum_name(type_: str, value: str, mine: Any, _theirs: Any) -> bool:
    """3 is the name '3', where there is one."""
    return "Enum" in type_ and value == mine and mine.isdigit()


LISTED: dict[str, Listed] = {
    "numbers in texts": number_as_text,
    "documents in texts": document_as_text,
    "whole numbers": whole_number,
    "minus zero": minus_zero,
    "booleans": boolean,
    "quoted documents": quoted_document,
    "enums": enum_name,
    "lists for tuples": list_as_tuple,
    "fixed strings": fixed_string,
    "date formats": date_format,
    "large times": large_time,
    "large days": large_day,
    "times of day": time_of_day,
    "numbers in Dynamic": float_in_dynamic,
    "objects in Dynamic": object_in_dynamic,
    "times in Dynamic": time_in_dynamic,
    "numbers in JSON": float_in_json,
    "texts in Variant": text_in_variant,
    "lists in Dynamic": list_in_dynamic,
}

# A line that is no JSON has no columns: its number is in the line itself.
KEPT = "SELECT toUInt32(ifNull(id, extract(c__error[1], '\\{{\"id\":([0-9]+)'))) AS id FROM {}_quarantine"


def stored(workspace: Workspace, type_: str, name: str, values: Sequence[str]) -> tuple[dict[int, Any], set[int]]:
    """Submit values; return the stored ones, as texts, and which are in quarantine. Each is in one of both."""
    workspace.data.truncate(name)
    workspace.data.truncate(f"{name}_quarantine")
    body = documents(list(enumerate(values))).encode()
    result = workspace.data.submit(name, lines_of(body)).result()
    text = shown(type_).replace("toString(v)", "toString(arrayZip(v.a, v.b))") if "Nested" in type_ else shown(type_)
    ours = {row["id"]: row["text"] for row in workspace.sql(f"SELECT id, {text} AS text FROM {name}")}
    kept = {row["id"] for row in workspace.sql(KEPT.format(name))}
    assert not kept & ours.keys()
    assert kept | ours.keys() == set(range(len(values)))
    assert (result.successful_rows, result.quarantined_rows) == (len(ours), len(kept))
    return ours, kept


def judged(engine: Engine, workspace: Workspace, type_: str, name: str, values: Sequence[str]) -> list[str]:
    """Store values; return those that are stored otherwise than by JSONEachRow, with both, but for listed ones."""
    ours, _ = stored(workspace, type_, name, values)
    as_read = "Array(Tuple(a String, b Int32))" if "Nested" in type_ else type_
    basic, best = (reference(engine, as_read, values, dates) for dates in ("basic", "best_effort"))
    found = []
    for number, mine in ours.items():
        theirs = basic[number] if number in basic else best.get(number, "refused")
        if theirs == "refused":  # or skipped: behind a refused value, JSONEachRow sometimes leaves out the next one
            alone = _read(engine, as_read, [(number, values[number])], "basic")
            theirs = alone.get(
                number, _read(engine, as_read, [(number, values[number])], "best_effort").get(number, theirs)
            )
        if mine != theirs and not any(known(type_, values[number], mine, theirs) for known in LISTED.values()):
            found.append(f"{type_} <- {values[number]}: {mine!r}, JSONEachRow {theirs!r}")
    return found


@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_some_values(engine: Engine, columns: Workspace, number: int) -> None:
    """Some 2,500 pairs of a type and a value; each value comes with several types."""
    values = VALUES[number % _EACH :: _EACH]
    assert "\n".join(judged(engine, columns, TYPES[number], f"t{number}", values)) == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(TYPES)), ids=TYPES)
def test_all_values_and_more(engine: Engine, columns: Workspace, number: int) -> None:
    """More than 45,000 pairs."""
    values = [*VALUES, *itertools.islice(made(number), 400)]
    assert "\n".join(judged(engine, columns, TYPES[number], f"t{number}", values)) == ""


@pytest.mark.parametrize("type_", ["JSON", "Dynamic"])
def test_a_value_does_not_depend_on_other_rows(columns: Workspace, type_: str) -> None:
    name, found = f"t{TYPES.index(type_)}", []
    for order in (LEANING, LEANING[::-1]):
        ours, kept = stored(columns, type_, name, order)
        found.append({order[n]: ours.get(n, "quarantined") for n in [*ours, *kept]})
    columns.data.truncate(name)
    for numbered in enumerate(LEANING):
        columns.data.submit(name, lines_of(documents([numbered]).encode())).result()
    alone = {LEANING[row["id"]]: row["text"] for row in columns.sql(f"SELECT id, {shown(type_)} AS text FROM {name}")}
    assert found[0] == found[1] == {value: alone.get(value, "quarantined") for value in LEANING}


def test_the_documentation_lists_the_differences() -> None:
    text = (ROOT / "docs/ingestion.md").read_text(encoding="utf-8")
    rows = text.partition("| what | stored here")[2].partition("\n\n")[0].splitlines()[2:]
    assert {row.split("|")[1].strip() for row in rows} == LISTED.keys()
