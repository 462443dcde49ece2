"""Which keys an address with wildcards names."""

from __future__ import annotations

import re
import string
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from clickpipe.diagnostics import ClickpipeError
from clickpipe.project import files_of, since
from tests.clock import cpu_seconds


@pytest.mark.parametrize(
    ("path", "prefix", "taken", "left"),
    [
        ("in/a.csv", "in/", ["in/a.csv"], ["in/a.csv.gz", "in/aXcsv", "in/b.csv", "a.csv"]),
        ("a.csv", "", ["a.csv"], ["in/a.csv"]),
        ("in/*.csv", "in/", ["in/a.csv", "in/.csv", "in/a.b.csv"], ["in/sub/a.csv", "in/a.csv2", "xin/a.csv"]),
        ("in/*", "in/", ["in/a", "in/"], ["in/a/b", "out/a"]),
        ("in/", "in/", ["in/a.csv"], ["in/sub/a.csv"]),
        ("in/**", "in/", ["in/a", "in/a/b/c"], ["out/a"]),
        ("in/**/a.csv", "in/", ["in/x/a.csv", "in/x/y/a.csv"], ["in/a.csvx", "in/xa.csv"]),
        (
            "*/day=*/part-*.parquet",
            "",
            ["a/day=1/part-7.parquet"],
            ["a/day=1/x/part-7.parquet", "day=1/part-7.parquet"],
        ),
        ("in/a?.csv", "in/", ["in/a1.csv", "in/aé.csv"], ["in/a.csv", "in/a/.csv", "in/a12.csv"]),
        ("in/{a,bc}.csv", "in/", ["in/a.csv", "in/bc.csv"], ["in/b.csv", "in/abc.csv"]),
        ("in/{08..11}.csv", "in/", ["in/08.csv", "in/11.csv"], ["in/8.csv", "in/12.csv"]),
        ("in/{8..11}.csv", "in/", ["in/8.csv", "in/10.csv"], ["in/08.csv", "in/7.csv"]),
        ("in/*{a,ab}*c", "in/", ["in/abc", "in/xac", "in/abxc"], ["in/bc"]),
        ("in/(1)+[2].csv", "in/", ["in/(1)+[2].csv"], ["in/1.csv"]),
        ("in/{open", "in/", ["in/{open"], ["in/open"]),
        ("**x*y", "", ["x/xy", "xy", "a/xby"], ["x/y"]),
        ("**/a/**/b/**", "", ["x/a/y/b/z", "/a//b/"], ["a/b"]),
        ("in/{a,b/c}*.csv", "in/", ["in/a1.csv", "in/b/c.csv"], ["in/b.csv"]),
        ("in/{,a}{a,aa}", "in/", ["in/a", "in/aa", "in/aaa"], ["in/", "in/aaaa"]),
    ],
)
def test_keys(path: str, prefix: str, taken: list[str], left: list[str]) -> None:
    found = files_of(f"s3://my-bucket/{path}")
    assert (found.bucket, found.prefix) == ("my-bucket", prefix)
    assert [key for key in taken + left if found.match(key)] == taken
    assert all(key.startswith(prefix) for key in taken)


def slowly(pattern: str, key: str) -> bool:
    """Match by trying everything."""
    if not pattern:
        return not key
    if pattern.startswith("**"):
        return any(slowly(pattern[2:], key[at:]) for at in range(len(key) + 1))
    if pattern[0] == "*":
        ends = (at for at in range(len(key) + 1) if "/" not in key[:at])
        return any(slowly(pattern[1:], key[at:]) for at in ends)
    if pattern[0] == "?":
        return key[:1] not in {"", "/"} and slowly(pattern[1:], key[1:])
    return key[:1] == pattern[0] and slowly(pattern[1:], key[1:])


PATTERNS = st.lists(st.sampled_from(["a", "b", "/", "*", "?", "ab", "x"]), min_size=1, max_size=7)


@given(PATTERNS, PATTERNS, st.text("abx/", max_size=9))
def test_they_match_as_trying_everything_does(first: list[str], second: list[str], key: str) -> None:
    path = re.sub(r"\*{2,}", "*", "".join(first)) + "**" + re.sub(r"\*{2,}", "*", "".join(second)).lstrip("*")
    path = path.rstrip("/").replace("***", "**") or "**"
    assert files_of(f"s3://bucket/{path}").match(key) == slowly(path, key), path


@given(st.text(string.printable, min_size=1, max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with suppress(ClickpipeError):
        files_of(f"s3://bucket/{text}").match(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "**a**b",
        "*a" * 400,
        "**a*b**c",
        "?" * 900 + "*b",
        "**" + "*a" * 300,
        "{a,aa}" * 160 + "b",
        "**a" * 300,
        "{1..999}**" * 1,
    ],
)
def test_no_address_takes_long(pattern: str) -> None:
    files = files_of(f"s3://bucket/{pattern}")
    assert cpu_seconds(lambda: files.match("a" * 1024 + "c"), 3, 1.0) < 5  # it would be hours


@pytest.mark.parametrize("pattern", ["*" + "?*" * 500, "**a" * 330, "?" * 512 + "*?" * 250, "*{a,aa,aaa}" * 90])
@pytest.mark.parametrize("key", ["a" * 1024, "a/" * 512, "ab" * 512])
def test_a_key_takes_steps_by_the_piece_not_by_the_place(pattern: str, key: str) -> None:
    """A page has thousands of keys, and while one is matched, no request is answered."""
    files, steps = files_of(f"s3://bucket/{pattern}"), 0

    def count(*_: object) -> Any:
        nonlocal steps
        steps += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        files.match(key)
    finally:
        sys.settrace(before)
    assert steps < 20 * (len(files.pieces) + len(key)), steps


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("bucket/a.csv", "an address begins with"),
        ("https://bucket/a.csv", "an address begins with"),
        ("s3://bucket", "an address begins with"),
        ("s3://bucket/", "an address begins with"),
        ("s3://Bucket/a", "an address begins with"),
        ("s3://b@127.0.0.1/a", "an address begins with"),
        ("s3://../a", "an address begins with"),
        ("s3://bucket/{1..5000}", "no range"),
        ("s3://bucket/{9..1}", "no range"),
        ("s3://bucket/{1..600}{1..600}", "more than 1000 texts"),
        (f"s3://bucket/{'a' * 1025}", "longer than 1024"),
    ],
)
def test_other_addresses_are_refused(uri: str, message: str) -> None:
    with pytest.raises(ClickpipeError, match=message):
        files_of(uri)


def test_times() -> None:
    assert str(since("2026-01-31T10:00:00Z")) == "2026-01-31 10:00:00+00:00"
    assert str(since('"2026-01-31"')) == "2026-01-31 00:00:00+00:00"
    assert str(since("2026-01-31 10:00:00+02:00")) == "2026-01-31 10:00:00+02:00"
    assert since("yesterday") is None
