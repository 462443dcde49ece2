"""Texts as times: which are one, and which value that is does not depend on the day on which they are read."""

from __future__ import annotations

import json

import pytest

from clickpipe.columns.times import number_by_its_looks, time_of
from clickpipe.engine import Engine

TYPES = ("DateTime", "DateTime('Asia/Tokyo')", "DateTime64(3)", "DateTime64(9, 'UTC')", "Date", "Date32")


def _read(engine: Engine, type_: str, text: str, *, quoted: bool = True) -> str | None:
    number = "0" if quoted else number_by_its_looks("t")
    sql = f"SELECT toString({time_of(type_, 't', number)}) FROM (SELECT CAST({{text:String}}, 'Nullable(String)') AS t)"
    return json.loads(engine.execute(sql, {"text": text}, output="JSONCompact").body)["data"][0][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(
    "text",
    ["Jan 5", "Jan -31", "Jan -32", "9Jan-2", "ZJan-00", "abcd-05", "12:00", "12:00:00", "0000-00-00", "x", "", "-"],
)
def test_what_has_no_year_is_no_time(engine: Engine, type_: str, text: str) -> None:
    assert _read(engine, type_, text) is None


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("text", ["2023-01-05", "5 Jan 2023", "20230105", "2023-01-05T00:00:00", "2023/01/05"])
def test_what_has_a_year_is_one(engine: Engine, type_: str, text: str) -> None:
    found = _read(engine, type_, text)
    assert found is not None
    assert found.startswith("2023-01-05")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1969-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00Z", "1970-01-01 00:00:00"),
        ("2106-02-07T06:28:15Z", "2106-02-07 06:28:15"),
        ("2106-02-07T06:28:16Z", None),
        ("2200-01-01T00:00:00Z", None),
        ("2023-01-05T00:00:00.9Z", "2023-01-05 00:00:00"),
    ],
)
def test_a_time_that_the_type_cannot_hold_is_none(engine: Engine, text: str, value: str | None) -> None:
    assert _read(engine, "DateTime('UTC')", text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", "1970-01-01 00:00:00"), ("59", "1970-01-01 00:00:59"), ("1700000000", "2023-11-14 22:13:20"), ("-1", None)],
)
def test_numbers_are_seconds(engine: Engine, text: str, value: str | None) -> None:
    assert _read(engine, "DateTime('UTC')", text, quoted=False) == value
