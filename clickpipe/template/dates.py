"""Differences between two points in time, in whole units: `day_diff` and the `date_diff_in_…` functions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2.runtime import Undefined

from clickpipe.template.errors import MissingParameter, TemplateError
from clickpipe.template.given import of_parameter

_DAY = "%Y-%m-%d"
_SECOND = "%Y-%m-%d %H:%M:%S"
_EXAMPLE = datetime(2023, 1, 1)  # noqa: DTZ001 - without a time zone
DAYS = frozenset({"day_diff", "date_diff_in_days"})


def _difference(seconds: int, form: str) -> Callable[..., int | None]:
    def call(
        first: Any,
        second: Any,
        date_format: str = form,
        backup_date_format: str | None = None,
        none_if_error: bool = False,  # noqa: FBT001, FBT002 - the documented signature
    ) -> int | None:
        forms = [date_format, *([backup_date_format] if backup_date_format else [])]
        try:
            apart = _moment(first, forms) - _moment(second, forms)
        except TemplateError:
            if none_if_error:
                return None
            raise
        return int(abs(apart.total_seconds()) // seconds)

    return call


def _moment(value: Any, forms: list[str]) -> datetime:
    if isinstance(value, Undefined) or value is None:
        raise MissingParameter([getattr(value, "_undefined_name", None) or "value"])
    for form in forms:
        try:
            return datetime.strptime(str(value), form)  # noqa: DTZ007 - both are in the same time zone, whichever it is
        except ValueError:
            continue
    message = f"invalid date '{value}': expected {' or '.join(forms)}"
    example = _EXAMPLE.strftime(forms[0])
    raise TemplateError(message + of_parameter(value, f"a date, such as {example}"))


DATE_FUNCTIONS: dict[str, Callable[..., int | None]] = {
    "day_diff": _difference(86_400, _DAY),
    "date_diff_in_days": _difference(86_400, _DAY),
    "date_diff_in_hours": _difference(3_600, _SECOND),
    "date_diff_in_minutes": _difference(60, _SECOND),
    "date_diff_in_seconds": _difference(1, _SECOND),
}
