"""Completes an insert that a view refuses again and again, although it took the same rows before.

The table may have them since an earlier attempt, so they cannot go to quarantine any more. They stay in the table and
in what other views make; only the view that refuses them, and those behind it, go without.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from clickpipe.engine import Settings, views_may_fail, views_without_rows
from clickpipe.ingest.narrow import TRIES, Refused, narrow
from clickpipe.ingest.numbered import Prepared

_LOGGER = logging.getLogger(__name__)
_IN_ORDER = "\nORDER BY __row"
Look = Callable[[int, int], tuple[str, str] | None]
Write = Callable[[str, Settings], None]


def write_lacking(fitting: Prepared, look: Look, statement: str, write: Write) -> list[Refused]:
    """Write the rows of an insert; return those that a view refuses every time, and now lacks.

    `fitting` are its rows, `look(first, end)` tells who refuses a range of them, `write(sql, settings)` runs the insert
    with its token. Returns [] if there are no such rows; then nothing was written. Raises EngineError.
    """

    def every_time(first: int, end: int) -> tuple[str, str] | None:
        found = look(first, end)
        for _ in range(TRIES if found is not None and end - first == 1 else 0):
            found = look(first, end)
            if found is None:
                break
        return found

    found, _ = narrow(every_time, len(fitting.numbers))
    if not found or look(0, 0) is not None:
        return []
    ordered = f"{statement}{_IN_ORDER}"
    table = statement.removeprefix("INSERT INTO ").partition(" (")[0]
    write(ordered, views_may_fail())  # the other views get all rows
    places = [one.row for one in found]
    if len(places) < len(fitting.numbers):
        write(ordered, views_without_rows(table, places))  # this one gets the rest
    return found


def tell_of_lack(data_source: str, found: Sequence[Refused]) -> str:
    """Log rows that are in a data source, but not in what a view makes of it; return the message."""
    rows = "1 row is" if len(found) == 1 else f"{len(found)} rows are"
    where, why = found[0].where, found[0].why
    message = (
        f"{rows} in '{data_source}', but not in what {where} makes of it. It took them once, and refuses now: {why}"
    )
    _LOGGER.error("%s", message)
    return message
