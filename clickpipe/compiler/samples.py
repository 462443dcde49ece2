"""Decides whether ClickHouse refuses a statement because of the author's mistake, or of a value that the check made up.

A parameter without a default is checked with a made-up value. ClickHouse's errors about such a value are never
reported: other values are tried, of the kinds that SQL accepts as strings and numbers. A statement that is refused in
the same way for any value is the author's mistake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clickpipe.compiler.checker import CheckFailure, ResultColumn
from clickpipe.compiler.explain import clean
from clickpipe.project import Project

_TEXTS = (
    *("2023-01-01 00:00:00", "1", "2023-01-01", "day", "UTC", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "::1"),
    *("127.0.0.1", "{}", "[]", "a", "true", "1.5", "2023-01-01 00:00:00.000", "202301", "en", "sum", "100", "2023"),
)
_NUMBERS = (0, 2, 10, 100, 3600, 2023, 202301)
# Errors about values, by name: never reported about values that are not the author's.
_ABOUT_VALUES = re.compile(
    r"^(CANNOT_(PARSE|CONVERT|READ)|UNKNOWN_ELEMENT_OF_ENUM|VALUE_IS_OUT_OF_RANGE|ARGUMENT_OUT_OF_BOUND|ILLEGAL_DIVISION"
    r"|DECIMAL_OVERFLOW|INCORRECT_DATA|TOO_LARGE|PARAMETER_OUT_OF_BOUND|SIZES_OF_ARRAYS)"
)
_ENUM = re.compile(r"Enum(?:8|16)?\(\s*'((?:[^'\\]|\\.)*)'")
_LABELS = 12  # labels of enums to try

Answer = list[ResultColumn] | CheckFailure | None
Describe = Callable[[str, Mapping[str, Any]], Answer]


def enum_labels(project: Project) -> tuple[str, ...]:
    """Return a label of each enum type in the project."""
    types = (column.type for source in project.data_sources.values() for column in source.columns)
    return tuple(dict.fromkeys(label for type_ in types if "Enum" in type_ for label in _ENUM.findall(type_)))[:_LABELS]


class Samples:
    """Looks for values that ClickHouse accepts."""

    def __init__(self, describe: Describe, labels: Sequence[str] = ()) -> None:
        """Ask with `describe`; `labels` are tried in addition to the usual strings."""
        self._describe = describe
        self._texts = (*_TEXTS, *labels)

    def settle(self, sql: str, params: Mapping[str, Any], refused: CheckFailure, ours: Sequence[str]) -> Answer:
        """Return the answer to a refused statement: with values that fit, or else the author's mistake.

        `ours` are the parameters with made-up values. Returns None if nothing that was tried fits, and every error was
        about the values.
        """
        if not ours:
            return refused
        seen = Counter([clean(refused.message)])
        for values in self._all_alike(params, ours):
            answer = self._describe(sql, {**params, **values})
            if not isinstance(answer, CheckFailure):
                return answer
            message = clean(answer.message)
            seen[message] += 1
            if seen[message] > 1 and not _ABOUT_VALUES.match(answer.name):
                return answer
        return refused if len(seen) == 1 else self._one_by_one(sql, params, refused, ours)

    def _all_alike(self, params: Mapping[str, Any], ours: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        """Yield values for the parameters, all of one kind."""
        for number, text in enumerate(self._texts):
            yield {name: _instead(params[name], text, _NUMBERS[number % len(_NUMBERS)]) for name in ours}

    def _one_by_one(self, sql: str, params: Mapping[str, Any], refused: CheckFailure, ours: Sequence[str]) -> Answer:
        """Find values for parameters with different meanings, one by one: a value fits if the error changes."""
        given, answer = dict(params), refused
        open_names = list(ours)  # those without a value known to fit
        while open_names:
            before = _without_values(answer.message, given, ours)
            for name, (number, text) in ((n, t) for n in open_names for t in enumerate(self._texts)):
                values = {**given, name: _instead(given[name], text, _NUMBERS[number % len(_NUMBERS)])}
                found = self._describe(sql, values)
                if not isinstance(found, CheckFailure):
                    return found
                if _without_values(found.message, values, ours) != before:
                    given, answer = values, found
                    open_names.remove(name)
                    break
            else:
                return None
            if not _ABOUT_VALUES.match(answer.name) and not _mentions(answer.message, given, ours):
                return answer
        return None


def _instead(value: Any, text: str, number: int) -> Any:
    if isinstance(value, list):
        return [_instead(item, text, number) for item in value]
    return text if isinstance(value, str) else number


def _mentions(message: str, values: Mapping[str, Any], ours: Iterable[str]) -> bool:
    """Return whether a message contains a made-up value."""
    return _without_values(message, values, ours) != clean(message)


def _without_values(message: str, values: Mapping[str, Any], ours: Iterable[str]) -> str:
    """Return a message with made-up values replaced by `?`."""
    text = clean(message)
    items = [i for name in ours for i in (values[name] if isinstance(values[name], list) else [values[name]])]
    for item in sorted({str(item) for item in items}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(item)}(?!\w)", "?", text)
    return text
