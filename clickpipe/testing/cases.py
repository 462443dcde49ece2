"""Reads the tests of a project from the files in `tests/`.

`<pipe>.yaml` is a list of `{name, description, parameters, expected_result, expected_http_status, tolerance}`. Classic
projects have two other kinds: data quality checks, lists of `<name>: {sql: …}` whose SELECT must return nothing; and
`<name>.test`, a command with its expected output in `<name>.test.result`.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

from clickpipe.config import require_inside
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.diagnostics.errors import DOCS

_KEYS = ("name", "description", "parameters", "expected_result", "expected_http_status", "tolerance")
_QUALITY_KEYS = ("sql", "max_bytes_read", "max_time", "description", "pipe")
_COMMANDS = "only the commands `tb pipe data … --format CSV` and `tb sql … --format CSV` of .test files are run"


@dataclass(frozen=True, slots=True)
class EndpointTest:
    """One call of an endpoint and its expected response.

    `expected` is the NDJSON body or, for a `status` of 400 and above, the text of `error`. Numbers may differ by
    `tolerance`, relative to the larger one.
    """

    pipe: str
    file: str
    name: str
    description: str
    parameters: Mapping[str, str | list[str]]
    expected: str
    status: int = 200
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class QualityTest:
    """A SELECT that must return nothing. `pipe` is the name of its file."""

    pipe: str
    file: str
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class CommandTest:
    """A Classic command: a call of `endpoint`, or `sql`, and the CSV that it must print."""

    pipe: str
    file: str
    name: str
    endpoint: str
    sql: str
    parameters: Mapping[str, str | list[str]]
    expected: str


@dataclass(frozen=True, slots=True)
class SkippedTest:
    """A test that is not run, and why."""

    pipe: str
    file: str
    name: str
    reason: str


Test = EndpointTest | QualityTest | CommandTest | SkippedTest


def read_tests(root: Path) -> Iterator[Test]:
    """Yield the tests of the project in `root`, in order of files. Raises ClickpipeError for an invalid file."""
    folder = root / "tests"
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("*.test")]):
        file = require_inside(root, path).relative_to(root).as_posix()
        if path.suffix == ".test":
            require_inside(root, path.with_suffix(".test.result"))
            yield _command(path, file)
            continue
        for number, entry in enumerate(_entries(path, file), 1):
            yield _test(path.stem, file, number, entry)


def _entries(path: Path, file: str) -> list[Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        place = f"{file}:{at.line + 1}:{at.column + 1}" if at else file
        raise _broken(f"{place}: the YAML cannot be parsed: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(f"{file}: the file cannot be read: {error}") from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise _broken(f"{file}: a test file is a list of tests, each starting with `- name: …`")
    return found


def _test(pipe: str, file: str, number: int, entry: Any) -> Test:
    where = f"{file}: test {number}"
    if isinstance(entry, dict) and "pipe" in entry and isinstance(entry.get("tests"), list):
        reason = "regression tests of two releases are not supported: write down the expected result"
        return SkippedTest(pipe, file, f"regression of {entry['pipe']}", reason)
    if isinstance(entry, dict) and len(entry) == 1 and isinstance(next(iter(entry.values())), dict):
        ((name, said),) = entry.items()
        return _quality(pipe, file, f"{where} ({name})", str(name), said)
    if not isinstance(entry, dict) or not entry.get("name"):
        raise _broken(f"{where} needs a name")
    _check_keys(entry, _KEYS, where)
    status, tolerance = entry.get("expected_http_status", 200), entry.get("tolerance", 0)
    if type(status) is not int:
        raise _broken(f"{where}: expected_http_status must be a number, not {status!r}")
    if type(tolerance) not in {int, float} or not 0 <= tolerance < 1:
        raise _broken(f"{where}: tolerance must be a number from 0 up to 1, such as 0.001, not {tolerance!r}")
    return EndpointTest(
        pipe,
        file,
        str(entry["name"]),
        str(entry.get("description") or ""),
        _parameters(str(entry.get("parameters") or "")),
        str(entry.get("expected_result") or ""),
        status,
        float(tolerance),
    )


def _quality(pipe: str, file: str, where: str, name: str, said: Mapping[str, Any]) -> QualityTest:
    _check_keys(said, _QUALITY_KEYS, where)
    if not said.get("sql"):
        raise _broken(f"{where} needs `sql`: a SELECT that must return nothing")
    return QualityTest(pipe, file, name, str(said["sql"]))


def _check_keys(entry: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in entry:
        if key not in keys:
            hint = did_you_mean(str(key), keys) or f"the keys are {', '.join(keys)}"
            raise _broken(f"{where}: '{key}' is not a key of a test: {hint}")


def _command(path: Path, file: str) -> Test:
    """Return the test in a .test file; a SkippedTest for other commands."""
    name = path.stem
    try:
        words = shlex.split(path.read_text(encoding="utf-8"), comments=True)
        expected = path.with_suffix(".test.result").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        return SkippedTest(name, file, name, f"it cannot be read: {error}")
    options = dict(zip(words[3::2], words[4::2], strict=False)) if words[:3] == ["tb", "pipe", "data"] else {}
    if words[:2] == ["tb", "sql"] and len(words) > 2:  # noqa: PLR2004 - and the SQL
        sql, options = words[2], dict(zip(words[3::2], words[4::2], strict=False))
        if options == {"--format": "CSV"}:
            return CommandTest(name, file, name, "", sql, {}, expected)
    elif len(words) > 3 and words[:3] == ["tb", "pipe", "data"]:  # noqa: PLR2004 - and the pipe
        options = dict(zip(words[4::2], words[5::2], strict=False))
        if len(words) % 2 == 0 and all(key.startswith("--") for key in options) and options.get("--format") == "CSV":
            given = {key.removeprefix("--"): value for key, value in options.items() if key != "--format"}
            return CommandTest(words[3], file, name, words[3], "", given, expected)
    return SkippedTest(name, file, name, _COMMANDS)


def _parameters(query: str) -> dict[str, str | list[str]]:
    """Parse a query string, ignoring everything up to a `?`; a repeated parameter becomes a list."""
    found: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(query.split("?", 1)[-1].strip(), keep_blank_values=True):
        before = found.get(name)
        if before is None:
            found[name] = value
        else:
            found[name] = [*(before if isinstance(before, list) else [before]), value]
    return found


def _broken(message: str) -> ClickpipeError:
    return ClickpipeError(message, code="broken_test", documentation=DOCS + "testing.md")
