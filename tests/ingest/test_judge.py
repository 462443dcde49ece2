from __future__ import annotations

import pytest

from clickpipe.engine import EngineError
from clickpipe.ingest.judge import is_passing, reason_of, refusing_view

PARSE = (
    "Code: 6. DB::Exception: Cannot parse string 'bad' as UInt32: syntax error at begin of string. Note: there are "
    "toUInt32OrZero and toUInt32OrNull functions, which returns zero/NULL instead of throwing exception: while "
    "executing 'FUNCTION toUInt32(__table1.k :: 2) -> toUInt32(__table1.k) UInt32 : 1': while pushing to view d.v2. "
    "(CANNOT_PARSE_TEXT)"
)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (OSError(28, "No space left on device"), True),
        (EngineError("Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"), True),
        (EngineError("Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)"), True),
        (EngineError("Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE)"), True),
        (
            EngineError("Code: 75. DB::ErrnoException: Cannot write: , errno: 28, strerror: No space left on device."),
            True,
        ),
        (EngineError("std::exception. Code: 1001, e.what() = filesystem error: No space left on device"), True),
        (EngineError(PARSE), False),
        (EngineError("Code: 60. DB::Exception: Table d.t does not exist. (UNKNOWN_TABLE)"), False),
        (KeyError("a bug"), False),
    ],
)
def test_what_passes_by_itself(error: Exception, *, passing: bool) -> None:
    assert is_passing(error) is passing


def test_who_refused_and_why() -> None:
    error = EngineError(PARSE)
    assert refusing_view(error) == "v2"
    assert reason_of(error).startswith("Cannot parse string 'bad' as UInt32: syntax error at begin of string. Note: ")
    assert "__table1" not in reason_of(error)
    behind = EngineError(PARSE.replace("d.v2.", "`d`.`v2`: while pushing to view d.v1."))
    assert (refusing_view(behind), reason_of(behind)) == ("v2", reason_of(error))
    own = EngineError("Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero. (X)")
    assert (refusing_view(own), reason_of(own)) == ("", "Value passed to 'throwIf' function is non-zero")
