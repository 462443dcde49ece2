"""`tests/<pipe>.yaml`: a list of `{name, description, parameters, expected_result, expected_http_status}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import yaml

from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.diagnostics.errors import DOCS

_KEYS = ("name", "description", "parameters", "expected_result", "expected_http_status")


@dataclass(frozen=True, slots=True)
class EndpointTest:
    """One call of an endpoint and what it has to answer.

    `expected` is the NDJSON body, or for a `status` of 400 and above the text of `error`.
    """

    pipe: str
    file: str
    name: str
    description: str
    parameters: Mapping[str, str | list[str]]
    expected: str
    status: int = 200


def read_tests(root: Path) -> Iterator[EndpointTest]:
    """Yield the tests of the project in `root`, by file and in order. Raises ClickpipeError for a broken file."""
    for path in sorted((root / "tests").glob("*.yaml")):
        file = path.relative_to(root).as_posix()
        for number, entry in enumerate(_entries(path, file), 1):
            yield _test(path.stem, file, number, entry)


def _entries(path: Path, file: str) -> list[Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        place = f"{file}:{at.line + 1}:{at.column + 1}" if at else file
        raise _broken(f"{place}: the YAML cannot be read: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _broken(f"{file}: the file cannot be read: {error}") from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise _broken(f"{file}: a test file is a list of tests: each begins with `- name: …`")
    return found


def _test(pipe: str, file: str, number: int, entry: Any) -> EndpointTest:
    where = f"{file}: test {number}"
    if not isinstance(entry, dict) or not entry.get("name"):
        raise _broken(f"{where} needs a name")
    for key in entry:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS) or f"the keys are {', '.join(_KEYS)}"
            raise _broken(f"{where}: '{key}' is not a key of a test: {hint}")
    status = entry.get("expected_http_status", 200)
    if not isinstance(status, int):
        raise _broken(f"{where}: expected_http_status is a number, this is {status!r}")
    return EndpointTest(
        pipe,
        file,
        str(entry["name"]),
        str(entry.get("description") or ""),
        _parameters(str(entry.get("parameters") or "")),
        str(entry.get("expected_result") or ""),
        status,
    )


def _parameters(query: str) -> dict[str, str | list[str]]:
    """Return a query string's parameters (what stands before a `?` is left out); a repeated one is a list."""
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
