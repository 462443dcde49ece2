"""Writes actual responses into tests, leaving the rest of the file unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from clickpipe.config import require_inside
from clickpipe.testing.cases import EndpointTest

_OK = 200


def updated(text: str, number: int, got: str, status: int) -> str:
    """Return a test file's text with `got` (a body, or an error's text) expected by test `number` (from 0)."""
    document = yaml.compose(text)
    assert isinstance(document, yaml.SequenceNode)  # noqa: S101 - it was parsed as a list
    entry = document.value[number]
    places = {key.value: (key.start_mark.index, value.end_mark.index) for key, value in entry.value}
    indent = entry.start_mark.column
    values = {"expected_result": _block(got, indent).rstrip("\n")}
    if status != _OK or "expected_http_status" in places:
        values["expected_http_status"] = str(status)
    last = max(end for _, end in places.values())
    edits = [(*places.get(name, (last, last)), f"{name}: {value}", name in places) for name, value in values.items()]
    for start, end, line, is_there in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        kept = text[:end].rstrip()
        blank = text[len(kept) : end]  # the end of a block of lines
        text = (text[:start] if is_there else f"{kept}\n{' ' * indent}") + line + blank + text[end:]
    return text


def update_file(root: Path, file: str, changes: Mapping[int, tuple[str, int]]) -> None:
    """Write actual bodies and statuses into the tests of a file, by number."""
    path = require_inside(root, root / file)
    text = path.read_text(encoding="utf-8")
    for number, (got, status) in changes.items():
        text = updated(text, number, got, status)
    path.write_text(text, encoding="utf-8")


def add_test(root: Path, test: EndpointTest, query: str) -> None:
    """Append a test to its pipe's file, creating the file if needed; `query` are its parameters as a query string."""
    path = require_inside(root, root / "tests" / f"{test.pipe}.yaml")
    path.parent.mkdir(exist_ok=True)
    before = path.read_text(encoding="utf-8").rstrip() + "\n\n" if path.exists() else ""
    lines = [f"- name: {json.dumps(test.name)}\n"]
    lines += [f"  description: {json.dumps(test.description)}\n"] if test.description else []
    lines += [f"  parameters: {json.dumps(query)}\n"] if query else []
    lines += [f"  expected_http_status: {test.status}\n"] if test.status != _OK else []
    lines += [f"  expected_result: {_block(test.expected, 2)}"]
    path.write_text(before.lstrip() + "".join(lines), encoding="utf-8")


def _block(text: str, indent: int) -> str:
    """Return a text as a YAML value for a key indented by `indent`."""
    if not text.strip():
        return "''\n"
    if not text.endswith("\n") or text.startswith((" ", "\t")):
        return json.dumps(text, ensure_ascii=False) + "\n"
    return "|\n" + "".join(f"{' ' * (indent + 2)}{line}\n" for line in text.splitlines())
