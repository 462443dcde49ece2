"""SQL that decides whether a string is a value of a type, and converts it. Rules: docs/ingestion.md.

Each string is parsed once, strictly; if that fails, it does not fit. To add a type, add an entry to `_scalar`, or to
`judge` if it contains other types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickpipe.columns.times import time_of
from clickpipe.columns.types import (
    base,
    holder,
    is_array,
    is_nullable,
    named_field,
    plain,
    quoted_names,
    split_arguments,
)
from clickpipe.sql import quote_literal

_WIDE = re.compile(r"^U?Int(?:128|256)$")
_FIXED = re.compile(r"^FixedString\(\s*(\d+)\s*\)$")
_FITS_WIDE = 39  # characters: fewer are in the range of every type of 128 bits
_VARIABLE = re.compile(r"\bx(\d+)\b")
_ANY_JSON = re.compile(r"^(?:Variant\(|Dynamic|Geometry)")
_SEES_QUOTES = re.compile(r"\b(?:Variant|Dynamic|Geometry|Date|DateTime|Date32|DateTime64)\b")
_WHOLE_ONLY = re.compile(r"^(?:Array\(|Nullable\(|LowCardinality\(|U?Int\d+|Bool|[\s)])+$")


@dataclass(frozen=True, slots=True)
class Raw:
    """SQL of an incoming value; each expression is Nullable(String) unless stated otherwise.

    `text` is the value as text: a JSON string without its quotes, objects and arrays as JSON. `json` is the value as
    JSON; '' if unknown. `number` is a condition: whether it is a JSON number.
    """

    text: str
    json: str = ""
    number: str = "0"


@dataclass(frozen=True, slots=True)
class Judgement:
    """SQL of the value as `type`, and of whether it fits; the value is meaningless if it does not.

    With `nullable`, the value is NULL exactly if it does not fit, and `fits` tests for that.
    """

    value: str
    fits: str
    type: str
    nullable: bool = False


def takes_json(type_: str) -> bool:
    """Return whether a type distinguishes JSON representations: 1 and "1" are different values."""
    return _ANY_JSON.match(base(type_)) is not None


def judge(type_: str, raw: Raw) -> Judgement:
    """Return the judgement of a string that is not NULL."""
    own = plain(type_)
    if own == "String":
        return Judgement(f"assumeNotNull({raw.text})", "1", own)
    if takes_json(own):
        return _any_json(own, raw)
    if (found := holder(own)) is not None:
        value, fits = _HOLDERS[found[0]](found[1], raw)
        return Judgement(f"CAST({value}, {quote_literal(own)})", fits, own)
    parsed = _scalar(own, raw)
    return Judgement(parsed, f"isNotNull({parsed})", own, nullable=True)


def _scalar(own: str, raw: Raw) -> str:
    """Return SQL that parses a string as a type without nested types; NULL if it fails."""
    text = raw.text
    if (time := time_of(own, text, raw.number)) is not None:
        return time
    if own.startswith("Enum"):
        names = ", ".join(quoted_names(own))
        return f"CAST(if({text} IN ({names}), {text}, NULL), {quote_literal(f'Nullable({own})')})"
    if match := _FIXED.match(own):
        short = f"if(length(assumeNotNull({text})) <= {match[1]}, {text}, NULL)"
        return f"CAST({short}, {quote_literal(f'Nullable({own})')})"
    if own.startswith("Interval"):  # its own accurate cast raises an error
        return f"CAST(accurateCastOrNull({text}, 'Int64'), {quote_literal(f'Nullable({own})')})"
    if own.startswith("Decimal"):  # ClickHouse ignores a second point: 1.2.3 would become 1.23
        text = f"if(countSubstrings({text}, '.') > 1, NULL, {text})"
    if own == "UInt8":  # projects store booleans in it
        text = f"multiIf({text} = 'true', '1', {text} = 'false', '0', {text})"
    parsed = f"accurateCastOrNull({text}, {quote_literal(own)})"
    if _WIDE.match(own):  # ClickHouse lets what is too large overflow
        digits = f"replaceRegexpOne({text}, '^[+]?(-?)0*([0-9])', '\\\\1\\\\2')"
        return f"if(length({text}) < {_FITS_WIDE} OR toString({parsed}) = {digits}, {parsed}, NULL)"
    return parsed


def _any_json(own: str, raw: Raw) -> Judgement:
    """Return the judgement of a type with alternatives: ClickHouse's JSON type picks one, as JSONEachRow does.

    Where that is too lenient (it drops fractions, and accepts lists for named tuples) the value does not fit.
    """
    json = f"if(isNull({raw.text}), 'null', assumeNotNull({raw.json or raw.text}))"
    json = f"if(isValidJSON({json}), {json}, toJSONString({json}))"  # a string of which the quotes are unknown
    members = split_arguments(own[len("Variant(") : -1]) if own.startswith("Variant(") else []
    value = _picked(json, own)
    if "Bool" in members and len(members) > 1:  # it would match every number
        others = f"Variant({', '.join(member for member in members if member != 'Bool')})"
        value = f"if({json} IN ('true', 'false'), {value}, CAST({_picked(json, others)}, {quote_literal(own)}))"
    fits = [f"({json} = 'null' OR isNotNull({value}))"]
    picked = f"toString(variantType({value}))"
    if any(_WHOLE_ONLY.match(member) for member in members):
        wholes = ", ".join(quote_literal(re.sub(r"(?<!\s)\s*+,\s*+", ", ", m)) for m in members if _WHOLE_ONLY.match(m))
        same = f"{json} IN ('true', 'false') OR toString({value}) = replaceAll({json}, '\"', '')"
        fits.append(f"({picked} NOT IN ({wholes}) OR {same})")
    if own == "Geometry":
        fits.append(f"({json} = 'null' OR ({_points(json, value)}))")
    if tuples := [member for member in members if "Tuple(" in member]:
        fits.append(f"NOT (startsWith({json}, '[') AND startsWith({picked}, 'Tuple('))")
        one = " OR ".join(judge(member, Raw(f"toNullable({json})", f"toNullable({json})")).fits for member in tuples)
        fits.append(f"(position(ifNull({picked}, ''), 'Tuple(') = 0 OR {one})")
    return Judgement(value, " AND ".join(fits), own)


def _picked(json: str, own: str) -> str:
    parsed = f"accurateCastOrNull(concat('{{\"v\":', {json}, '}}'), {quote_literal(f'JSON(v {own})')})"
    return f"getSubcolumn({parsed}, 'v')"


def _points(json: str, value: str) -> str:
    """Return SQL for whether a document consists of lists of number pairs only, and a geometry has as many."""
    pairs = quote_literal(r"\[[^\[\],{}]+,[^\[\],{}]+\]")
    rest = f"replaceRegexpAll({json}, {pairs}, '')"
    as_many = f"countSubstrings(ifNull(toString({value}), ''), ',') = countSubstrings({json}, ',')"
    return f"NOT match({rest}, '[^],[ ]') AND {as_many}"


def _pair(type_: str, raw: Raw) -> str:
    """Return SQL of a tuple (value, fits) for an element, which may be NULL."""
    found = judge(type_, raw)
    text = raw.text
    if is_nullable(type_):
        value = found.value if found.nullable else f"if(isNull({text}), NULL, {found.value})"
        value = found.value if takes_json(type_) else value
        return f"tuple({value}, isNull({text}) OR {found.fits})"
    value = f"assumeNotNull({found.value})" if found.nullable else found.value
    if is_array(type_):
        return f"tuple({value}, isNull({text}) OR {found.fits})"
    return f"tuple({value}, isNotNull({text}) AND {found.fits})"


def _variable(raw: Raw) -> str:
    """Return a lambda variable that the surrounding SQL does not use."""
    used = [int(number) for number in _VARIABLE.findall(raw.text + raw.json)]
    return f"x{max(used, default=0) + 1}"


def _element(type_: str, sql: str) -> tuple[str, Raw]:
    """Return the type to pass to JSONExtract ('' to extract raw JSON), and the extracted element."""
    if not _SEES_QUOTES.search(type_):
        return "Nullable(String)", Raw(sql)
    return "", Raw(f"JSONExtract({sql}, 'Nullable(String)')", f"toNullable({sql})", f"NOT startsWith({sql}, '\"')")


def _array(arguments: list[str], raw: Raw) -> tuple[str, str]:
    document, item = f"ifNull({raw.text}, '')", _variable(raw)
    asked, element = _element(arguments[0], item)
    items = f"JSONExtract({document}, 'Array({asked})')" if asked else f"JSONExtractArrayRaw({document})"
    pairs = f"arrayMap({item} -> {_pair(arguments[0], element)}, {items})"
    fits = f"JSONType({document}) = 'Array' AND arrayAll({item} -> {item}, tupleElement({pairs}, 2))"
    return f"tupleElement({pairs}, 1)", fits


def _map(arguments: list[str], raw: Raw) -> tuple[str, str]:
    document, item = f"ifNull({raw.text}, '')", _variable(raw)
    asked, element = _element(arguments[1], f"{item}.2")
    how = f"JSONExtractKeysAndValues({document}, '{asked}')" if asked else f"JSONExtractKeysAndValuesRaw({document})"
    key, value = _pair(arguments[0], Raw(f"toNullable({item}.1)")), _pair(arguments[1], element)
    pairs = f"arrayMap({item} -> tuple({key}, {value}), {how})"
    keys, values = f"tupleElement({pairs}, 1)", f"tupleElement({pairs}, 2)"
    every = f"arrayAll({item} -> {item}, arrayConcat(tupleElement({keys}, 2), tupleElement({values}, 2)))"
    return (
        f"arrayZip(tupleElement({keys}, 1), tupleElement({values}, 1))",
        f"JSONType({document}) = 'Object' AND {every}",
    )


def _tuple(arguments: list[str], raw: Raw) -> tuple[str, str]:
    """Match elements by name from an object, without duplicate names, or by position from a list of the same length."""
    document = f"ifNull({raw.text}, '')"
    kind, fields = f"JSONType({document})", [named_field(argument) for argument in arguments]
    pairs = [_pair(field[1], _field(document, number, *field)) for number, field in enumerate(fields, 1)]
    by_place = f"{kind} = 'Array' AND JSONLength({document}) = {len(fields)}"
    named = all(name for name, _ in fields)
    shape = f"({kind} = 'Object' OR {by_place})" if named else by_place
    once = [f"countEqual(JSONExtractKeys({document}), {quote_literal(name)}) < 2" for name, _ in fields if named]
    fits = " AND ".join([shape, *once, *(f"tupleElement({pair}, 2)" for pair in pairs)])
    return f"tuple({', '.join(f'tupleElement({pair}, 1)' for pair in pairs)})", fits


def _field(document: str, number: int, name: str, type_: str) -> Raw:
    asked, _ = _element(type_, "")
    how = f"JSONExtract({document}, {{}}, '{asked}')" if asked else f"JSONExtractRaw({document}, {{}})"
    by_place, by_name = (how.replace("{}", key) for key in (str(number), quote_literal(name)))
    found = f"if(JSONType({document}) = 'Array', {by_place}, {by_name})" if name else by_place
    return _element(type_, found)[1]


_HOLDERS = {"Array": _array, "Map": _map, "Tuple": _tuple}
