"""The forms of JSON values that certainly fit a column, as msgspec types.

ClickHouse accepts values of a *fitting* form when it parses a line. Values of an *exact* form are also stored the same
by `JSONCompactEachRow`. Other values are left to ClickHouse. Each type is one entry in `_TYPES`.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import Annotated, Any, Literal

from msgspec import Meta

from clickpipe.columns import base, enum_names, holder, nested_fields, plain
from clickpipe.ingest.fields import Field

# Numbers that ClickHouse's JSON parser accepts for any column.
_WHOLE = Annotated[int, Meta(ge=-(2**63) + 1, le=2**63 - 1)]
_FLOAT = Annotated[float, Meta(ge=-1e300, le=1e300)]
_SCALAR = bool | _WHOLE | _FLOAT | str | None
_FLAT = _SCALAR | list[_SCALAR] | dict[str, _SCALAR]
_DEEPER = _SCALAR | list[_FLAT] | dict[str, _FLAT]
ANYTHING = _SCALAR | list[_DEEPER] | dict[str, _DEEPER]

_DAY = (
    r"(?:197[1-9]|19[89][0-9]|20[0-9][0-9])-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_MOMENT = _DAY + r"[ T](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z?"
_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_EXACT_BITS = 54  # numbers with more digits are left to ClickHouse


def fitting_form(field: Field) -> tuple[Any, bool] | None:
    """Return the type of values that fit a column, and whether a value is required; None if no value certainly fits."""
    type_ = _fitting(field.column.type)
    if nested_fields(field.column.type) or (type_ is None and field.required):  # a Nested has keys of its own
        return None
    return type_, field.required


def exact_form(field: Field) -> tuple[Any, bool] | None:
    """Return the type of values that are stored as they are, and whether a value is required; None if there are none.

    A NULL in a Nullable column with a DEFAULT becomes the default here, which none of ClickHouse's formats does.
    """
    needed = field.required or (field.column.default is not None and field.takes_null)
    type_ = _of(field.column.type, exact=True)
    if nested_fields(field.column.type) or (type_ is None and needed):
        return None
    return type_, needed


def _fitting(type_: str) -> Any:
    if plain(type_) == "String":
        return bool | _WHOLE | _FLOAT | str | list[_SCALAR] | dict[str, _SCALAR]
    return _of(type_, exact=False)


def _of(type_: str, *, exact: bool) -> Any:
    own = plain(type_)
    if (found := holder(own)) is not None:
        element = _scalar(base(found[1][0]), exact=exact) if found[0] == "Array" else None
        return list[element] if element is not None else None  # type: ignore[valid-type]
    return _scalar(own, exact=exact)


def _scalar(own: str, *, exact: bool) -> Any:
    """Return the form for a type that contains no other type."""
    for pattern, fitting, same in _TYPES:
        if match := pattern.match(own):
            found = same if exact else fitting
            return found(match) if isinstance(found, FunctionType) else found
    return None


def _text(pattern: str) -> Any:
    return Annotated[str, Meta(pattern=rf"^(?:{pattern})\Z")]


def _whole(match: re.Match[str]) -> Any:
    bits = min(int(match[2]), _EXACT_BITS)
    low, high = (0, 2**bits - 1) if match[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return Annotated[int, Meta(ge=low, le=high)]


def _whole_or_text(match: re.Match[str]) -> Any:
    digits = len(str(2 ** (min(int(match[2]), _EXACT_BITS) - 1) - 1)) - 1
    return _whole(match) | _text(rf"{'' if match[1] else '-?'}(?:0|[1-9][0-9]{{0,{digits - 1}}})")


def _decimal(match: re.Match[str]) -> Any:
    digits, scale = min(15, int(match[1]) - int(match[2])), int(match[2])
    if digits < 1:
        return None
    fraction = rf"(?:\.[0-9]{{1,{scale}}})?" if scale else ""
    limit = 10**digits - 1
    return Annotated[int, Meta(ge=-limit, le=limit)] | _text(rf"-?(?:0|[1-9][0-9]{{0,{digits - 1}}}){fraction}")


def _names(match: re.Match[str]) -> Any:
    return Literal[tuple(enum_names(match.string))]


def _fixed(match: re.Match[str]) -> Any:
    return _text(rf"[ -~]{{0,{match[1]}}}")


_SINGLE = Annotated[int, Meta(ge=-(2**53), le=2**53)] | Annotated[float, Meta(ge=-1e37, le=1e37)]
_SECONDS = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# Type, fitting form, exact form: msgspec types, or functions that make one from the match.
_TYPES: tuple[tuple[re.Pattern[str], Any, Any], ...] = (
    (re.compile(r"^String$"), bool | _WHOLE | _FLOAT | str, str),
    (re.compile(r"^FixedString\(\s*(\d+)\s*\)$"), _fixed, _fixed),
    (re.compile(r"^(U?)Int(8|16|32|64|128|256)$"), _whole_or_text, _whole),
    (re.compile(r"^Float64$"), _WHOLE | _FLOAT, _WHOLE | _FLOAT),
    (re.compile(r"^Float32$"), _SINGLE, _SINGLE),
    (re.compile(r"^Decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)$"), _decimal, _decimal),
    (re.compile(r"^Bool$"), bool, bool),
    (re.compile(r"^Date(?:32)?$"), _text(_DAY), _text(_DAY)),
    (re.compile(r"^DateTime(?:64)?(?:\(|$)"), _SECONDS | _text(_MOMENT), _SECONDS | _text(_MOMENT)),
    (re.compile(r"^UUID$"), _text(_UUID), _text(_UUID)),
    (re.compile(r"^IPv4$"), _text(rf"(?:{_OCTET}\.){{3}}{_OCTET}"), _text(rf"(?:{_OCTET}\.){{3}}{_OCTET}")),
    (re.compile(r"^Enum(?:8|16)\("), _names, _names),
)
