from __future__ import annotations

import pytest

from clickpipe.engine import EngineError
from clickpipe.ingest.judge import is_disk_full, is_passing, reason_of, refusing_view

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


WORDS = ("No space left on device", "errno: 28", "Too many open files", "std::bad_alloc", "Disk quota exceeded")
OF_VALUES = (
    *("CANNOT_PARSE_TEXT", "CANNOT_PARSE_DATE", "CANNOT_PARSE_INPUT_ASSERTION_FAILED", "CANNOT_CONVERT_TYPE"),
    *("CANNOT_READ_ARRAY_FROM_TEXT", "CANNOT_READ_MAP_FROM_TEXT", "INCORRECT_DATA", "BAD_ARGUMENTS", "TYPE_MISMATCH"),
    *("FUNCTION_THROW_IF_VALUE_IS_NON_ZERO", "UNKNOWN_ELEMENT_OF_ENUM", "ILLEGAL_TYPE_OF_ARGUMENT", "UNKNOWN_TABLE"),
)
OF_SYSTEM = (
    *("CANNOT_WRITE_TO_FILE_DESCRIPTOR", "CANNOT_WRITE_TO_FILE", "CANNOT_STAT", "CANNOT_CREATE_FILE", "CANNOT_LINK"),
    *("CANNOT_OPEN_FILE", "STD_EXCEPTION", "POCO_EXCEPTION", "UNKNOWN_EXCEPTION", "SYSTEM_ERROR", "FILE_DOESNT_EXIST"),
)


@pytest.mark.parametrize("words", WORDS)
def test_words_of_a_row_are_no_full_disk(words: str) -> None:
    for name in OF_VALUES + OF_SYSTEM:
        error = EngineError(f"Code: 1. DB::Exception: Cannot do it: '{words}'. ({name})")
        assert is_passing(error) is (name in OF_SYSTEM), name
        assert is_disk_full(error) is (name in OF_SYSTEM and words in {WORDS[0], WORDS[-1]}), name


def test_who_refused_and_why() -> None:
    error = EngineError(PARSE)
    assert refusing_view(error) == "v2"
    assert reason_of(error).startswith("Cannot parse string 'bad' as UInt32: syntax error at begin of string. Note: ")
    assert "__table1" not in reason_of(error)
    behind = EngineError(PARSE.replace("d.v2.", "`d`.`v2`: while pushing to view d.v1."))
    assert (refusing_view(behind), reason_of(behind)) == ("v2", reason_of(error))
    own = EngineError("Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero. (X)")
    assert (refusing_view(own), reason_of(own)) == ("", "Value passed to 'throwIf' function is non-zero")
