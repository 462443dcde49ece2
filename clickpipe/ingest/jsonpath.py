"""Translates jsonpaths to ClickHouse expressions. Rules: docs/ingestion.md."""

from __future__ import annotations

from clickpipe.project import Each, Key, Step
from clickpipe.sql import quote_literal


def text_at(document: str, steps: tuple[Step, ...]) -> str:
    """Return SQL for the value at a path as Nullable(String): text as it is, objects and arrays as JSON.

    `document` is SQL of a JSON text, which may be NULL. A missing value and a JSON null are both NULL.
    """
    if not steps:
        return f"toNullable({document})"
    document = f"ifNull({document}, '')"
    each = next((n for n, step in enumerate(steps) if isinstance(step, Each)), None)
    if each is None:
        return f"JSONExtract({document}, {keys_of(steps)}, 'Nullable(String)')"
    return _elements(document, steps, each, "e")


def _elements(document: str, steps: tuple[Step, ...], each: int, variable: str) -> str:
    """Return SQL for a path with `[:]`: its elements, joined to the text of a JSON array."""
    before, after = steps[:each], steps[each + 1 :]
    keys = f", {keys_of(before)}" if before else ""
    elements = f"JSONExtractArrayRaw({document}{keys})"
    if after:
        deeper = next((n for n, step in enumerate(after) if isinstance(step, Each)), None)
        if deeper is None:
            inner = f"JSONExtractRaw({variable}, {keys_of(after)})"
        else:
            inner = f"ifNull({_elements(variable, after, deeper, variable + 'e')}, '')"
        elements = f"arrayMap({variable} -> if({inner} = '', 'null', {inner}), {elements})"
    joined = f"concat('[', arrayStringConcat({elements}, ','), ']')"
    present = f"JSONType({document}{keys}) = 'Array'"
    whole = f"JSONExtract({document}{keys}, 'Nullable(String)')"
    return f"if({present}, {joined}, {whole})"


def json_at(document: str, steps: tuple[Step, ...]) -> str:
    """Return SQL for the value at a path as JSON, Nullable(String): a missing value and a null are NULL."""
    if any(isinstance(step, Each) for step in steps):
        return text_at(document, steps)
    return f"nullIf(nullIf(JSONExtractRaw({document}, {keys_of(steps)}), ''), 'null')"


def keys_of(steps: tuple[Step, ...]) -> str:
    """Return a path's keys as arguments of JSON functions."""
    return ", ".join(quote_literal(step.name) for step in steps if isinstance(step, Key))
