"""Determines what happens to values that a view or copy writes to columns of another type.

ClickHouse converts them silently if it can (numbers wrap, fractions are cut), or else refuses a row in the middle of an
insert. `conversion` tells which from the two types alone.
"""

from __future__ import annotations

import re
from itertools import starmap

from clickpipe.compiler.checker import ResultColumn
from clickpipe.config import ProjectRules
from clickpipe.diagnostics import Diagnostic, Related, Severity, Span
from clickpipe.project import DataSource, Pipe
from clickpipe.sql import quote_literal

_HEAD = re.compile(r"^(\w+)(?:\((.*)\))?$", re.DOTALL)
_INTEGER = re.compile(r"^(U?)Int(\d+)$")
_ENUM_VALUE = re.compile(r"'((?:[^'\\]|\\.)*)'\s*=\s*-?\d+")
_ENUM_PAIR = re.compile(r"'((?:[^'\\]|\\.)*)'\s*=\s*(-?\d+)")
_NAMED = re.compile(r"^(\w+|`[^`]+`) (?=\w)(.+)$", re.DOTALL)
_HOLDING = frozenset({"Array", "Map", "Tuple"})
_DECIMAL_DIGITS = {"Decimal32": 9, "Decimal64": 18, "Decimal128": 38, "Decimal256": 76}
_TRANSPARENT = frozenset({"LowCardinality", "SimpleAggregateFunction"})
_TIMES = {"Date": 0, "Date32": 1, "DateTime": 2, "DateTime64": 3}
_PARSED = frozenset({"UUID", "IPv4", "IPv6", "Bool", "Float32", "Float64", "BFloat16", *_TIMES})


_ROUNDED = "digits are lost, and large values become infinite"
_NARROWER = {
    ("Float64", "Float32"): _ROUNDED,
    ("Float64", "BFloat16"): _ROUNDED,
    ("Float32", "BFloat16"): _ROUNDED,
    ("IPv6", "IPv4"): "a row with an address that is not IPv4 is refused",
}


def lossy_column(
    source: DataSource, target: str, pipe: Pipe, column: ResultColumn, span: Span, rules: ProjectRules
) -> Diagnostic | None:
    """Return a diagnostic if the target's type alters or refuses values of the query's column, or None.

    A warning, or an error in strictly checked projects; nothing for columns in the setting `lossy_columns`:
    `pipe.column`, `pipe`, or `*`.
    """
    loss = conversion(column.type, target)
    if not loss or not {"*", pipe.name, f"{pipe.name}.{column.name}"}.isdisjoint(rules.lossy_columns):
        return None
    definition = source.column(column.name)
    places = (Related("the column is defined here", definition.span),) if definition else ()
    message = f"column '{column.name}' is {column.type} in the query and {target} in '{source.name}': {loss}"
    mend = mended("…", column.type, target)
    hint = (
        f"write {mend} AS {column.name} in the query, or "
        f"`{column.name} {column.type}` in {source.file}; or allow it with lossy_columns in clickpipe.toml"
    )
    return Diagnostic("CP4006", message, span, Severity.WARNING if rules.lenient else Severity.ERROR, hint, places)


def conversion(given: str, target: str) -> str:
    """Describe what happens to values of one type in a column of another; '' if all are kept unchanged.

    Conversions that are not known here, such as those of aggregate states, are assumed to be lossless.
    """
    given, target = _unwrapped(given), _unwrapped(target)
    if given == target:
        return ""
    given_null, given = _nullable(given)
    target_null, target = _nullable(target)
    if given_null and not target_null:
        return _joined("a row with a NULL is refused", _plain(given, target))
    return _plain(given, target)


def _joined(*found: str) -> str:
    return ", and ".join(text for text in found if text)


def _plain(given: str, target: str) -> str:
    if given == target or target in {"String", "Dynamic"} or given in {"Nothing", "JSON"}:
        return ""
    (name, arguments), (into, wanted) = _parts(given), _parts(target)
    if {name, into} <= _HOLDING:
        return next(filter(None, starmap(conversion, _elements(arguments, wanted))), "") if name == into else ""
    if name in {"Dynamic", "Variant"}:
        return "a row with a value that cannot be converted is refused" if into not in {"Variant", "JSON"} else ""
    if name in {"Enum8", "Enum16"}:
        return _enum(given, target, into)
    if name in {"String", "FixedString"}:
        return _text(name, arguments, into, wanted)
    if name in _TIMES and into in _TIMES:
        return _time(name, arguments, into, wanted)
    return _number(given, target)


def _elements(given: list[str], wanted: list[str]) -> list[tuple[str, str]]:
    """Pair the element types of two arrays, maps or tuples."""
    ours, theirs = ([_NAMED.match(element) for element in of] for of in (given, wanted))
    if None in ours or None in theirs:
        unnamed = (
            [match[2] if match else element for match, element in zip(*of, strict=True)]
            for of in ((ours, given), (theirs, wanted))
        )
        return list(zip(*unnamed, strict=False))
    by_name = {match[1]: match[2] for match in ours if match}
    return [(by_name[match[1]], match[2]) for match in theirs if match and match[1] in by_name]


def _enum(given: str, target: str, into: str) -> str:
    if not into.startswith("Enum"):
        return _number("Int8" if given.startswith("Enum8") else "Int16", target) if _INTEGER.match(into) else ""
    missing = [v for v in _ENUM_VALUE.findall(given) if v not in _ENUM_VALUE.findall(target)]
    if missing:
        return f"a row with {', '.join(map(repr, missing[:3]))} is refused"
    names = {number: name for name, number in _ENUM_PAIR.findall(target)}
    moved = [name for name, number in _ENUM_PAIR.findall(given) if names.get(number, name) != name]
    return f"{', '.join(map(repr, moved[:3]))} is refused or becomes another value with its number" if moved else ""


def _text(name: str, arguments: list[str], into: str, wanted: list[str]) -> str:
    if into == "FixedString":
        longer = name == "String" or int(arguments[0]) > int(wanted[0])
        return f"a row with a string of more than {wanted[0]} bytes is refused" if longer else ""
    if into.startswith("Enum"):
        return "a row with a string that is not one of its values is refused"
    if into == "JSON":
        return "a row with a string that is not a JSON object is refused"
    if _INTEGER.match(into) or into.startswith("Decimal") or into in _PARSED:
        return "a row with a string that cannot be converted is refused"
    return ""


def _time(name: str, arguments: list[str], into: str, wanted: list[str]) -> str:
    if into == "DateTime64":
        finer = name == "DateTime64" and int(arguments[0]) > int(wanted[0])
        return "finer fractions of a second are lost" if finer else ""
    if name == "DateTime64" and into == "DateTime":
        return "fractions of a second are lost, and years before 1970 or after 2105 wrap"
    if name in {"DateTime", "DateTime64"} and into in {"Date", "Date32"}:
        return "the time of day is lost"
    return "days before 1970 or after 2149 wrap" if (name, into) == ("Date32", "Date") else ""


def _number(given: str, target: str) -> str:
    if (given, target) in _NARROWER:
        return _NARROWER[given, target]
    ours, theirs = _range(given), _range(target)
    if target == "Date" and ours is not None and not (ours[0] >= 0 and ours[1] < 2**16):
        return "numbers outside the days of a Date are read as Unix times"
    if ours is not None and theirs is not None:
        return "" if theirs[0] <= ours[0] and ours[1] <= theirs[1] else f"values outside {target} wrap"
    before, after = _decimal(given), _decimal(target)
    is_float = given in {"Float32", "Float64", "BFloat16"}
    if theirs is not None and (is_float or before):
        return "fractions are lost, and large values wrap"
    if after and (is_float or before):
        whole, digits = before or (76, 76)
        cut = "further digits are lost" if digits > after[1] else ""
        return _joined(cut, "a row with a larger value is refused" if whole > after[0] and before else "")
    if after and ours is not None:
        return "a row with a larger value is refused" if len(str(max(ours[1], -ours[0]))) > after[0] else ""
    return ""


def _range(type_: str) -> tuple[int, int] | None:
    if type_ == "Bool":
        return 0, 1
    if _parts(type_)[0] == "DateTime":
        return 0, 2**32 - 1
    match = _INTEGER.match(type_)
    if match is None:
        return None
    bits = int(match[2])
    return (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _decimal(type_: str) -> tuple[int, int] | None:
    """Return the number of digits of a Decimal before and after the point."""
    name, arguments = _parts(type_)
    if name == "Decimal":
        precision, scale = int(arguments[0]), int(arguments[1] if len(arguments) > 1 else 0)
        return precision - scale, scale
    if name in _DECIMAL_DIGITS:
        return _DECIMAL_DIGITS[name] - int(arguments[0]), int(arguments[0])
    return None


def mended(name: str, given: str, target: str) -> str:
    """Return an expression that handles the values that do not fit explicitly."""
    (ours_null, ours), (null, plain) = (_nullable(_unwrapped(type_)) for type_ in (given, target))
    (source, of), (head, arguments) = _parts(ours), _parts(plain)
    quoted = "'" + plain.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if source == head and head in _HOLDING:
        return _of_elements(name, head, of, arguments)
    if source == "String" and (_INTEGER.match(head) or head in {"Float32", "Float64", "Date", "DateTime"}):
        return f"to{head}{'OrNull' if null else 'OrZero'}({name})"
    if ours_null and not null and not _plain(ours, plain):
        return f"ifNull({name}, defaultValueOfTypeName({quoted}))"
    if (source in _TIMES and head in _TIMES) or head == "Date" or _NARROWER.get((source, head)) == _ROUNDED:
        return f"to{head}({', '.join([name, *arguments[:1]])})"
    if head in {"Enum8", "Enum16"}:
        known = ", ".join(f"'{value}'" for value in _ENUM_VALUE.findall(plain))
        other = "NULL" if null else f"toString(defaultValueOfTypeName({quoted}))"
        chosen = f"if(toString({name}) IN ({known}), toString({name}), {other})"
        return f"CAST({chosen} AS {f'Nullable({plain})' if null else plain})"
    if source in {"Enum8", "Enum16"} and _INTEGER.match(head):
        name = f"toInt16({name})"
    return f"accurateCast{'OrNull' if null else 'OrDefault'}({name}, {quoted})"


def _of_elements(name: str, head: str, given: list[str], wanted: list[str]) -> str:
    """Return an expression that converts each element of an array, map or tuple: casting the whole leaves no choice."""
    pairs = _elements(given, wanted)
    if head == "Array":
        each = "y" if name == "x" else "x"
        return f"arrayMap({each} -> {_unless_it_fits(each, *pairs[0])}, {name})"
    if head == "Map":
        return f"mapApply((k, x) -> ({_unless_it_fits('k', *pairs[0])}, {_unless_it_fits('x', *pairs[1])}), {name})"
    names = [match[1] for match in map(_NAMED.match, wanted) if match]
    by_name = len(names) == len(wanted) == len(pairs) and all(map(_NAMED.match, given))
    read = [quote_literal(name.strip("`")) for name in names] if by_name else map(str, range(1, len(pairs) + 1))
    items = (_unless_it_fits(f"tupleElement({name}, {at})", *pair) for at, pair in zip(read, pairs, strict=True))
    return f"tuple({', '.join(items)})"


def _unless_it_fits(name: str, given: str, target: str) -> str:
    return mended(name, given, target) if conversion(given, target) else name


def _unwrapped(type_: str) -> str:
    name, arguments = _parts(type_)
    return _unwrapped(arguments[-1]) if name in _TRANSPARENT and arguments else type_


def _nullable(type_: str) -> tuple[bool, str]:
    name, arguments = _parts(type_)
    return (True, arguments[0]) if name == "Nullable" else (False, type_)


def _parts(type_: str) -> tuple[str, list[str]]:
    """Return a type's name and arguments: `Map(String, Array(Int8))` has two."""
    match = _HEAD.match(type_.strip())
    if match is None:
        return type_, []
    return match[1], _split(match[2] or "")


def _split(text: str) -> list[str]:
    found, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(text):
        if character == "'" and text[at - 1 : at] != "\\":
            quoted = not quoted
        elif not quoted and character in "()":
            depth += 1 if character == "(" else -1
        elif not quoted and character == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    rest = text[start:].strip()
    return [*found, rest] if rest else found
