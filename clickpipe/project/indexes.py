"""Parses INDEXES blocks: data skipping indexes, one per line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from clickpipe.diagnostics import Diagnostic, Related, Word, did_you_mean
from clickpipe.project.model import Index

TYPES = ("minmax", "set", "bloom_filter", "ngrambf_v1", "tokenbf_v1", "text", "vector_similarity")
_NAME = re.compile(r"(?:INDEX\s++)?(?P<name>`[^`]+`|\w++)\s++", re.IGNORECASE)
_TYPE = re.compile(r"(?<!\s)\s++TYPE\s++(?P<kind>\w++)(?P<open>\()?", re.IGNORECASE)
_FORM = "an index is: name expression TYPE type(arguments) GRANULARITY number"


def parse_indexes(block: Word) -> tuple[list[Index], list[Diagnostic]]:
    """Return the indexes of a block (or a single line), and diagnostics of those that cannot be parsed."""
    found: list[Index] = []
    diagnostics: list[Diagnostic] = []
    for line in _lines(block):
        text, granularity = _granularity(line.text)
        name = _NAME.match(text)
        type_ = _type(text, name.end()) if name else None
        if name is None or type_ is None:
            diagnostics.append(Diagnostic("CP1206", "the index cannot be parsed", line.span, hint=_FORM))
            continue
        if type_["kind"].lower() not in TYPES:
            span = line.span.sub(*type_.span("kind"))
            hint = did_you_mean(type_["kind"], TYPES) or f"the types are: {', '.join(TYPES)}"
            diagnostics.append(Diagnostic("CP1206", f"'{type_['kind']}' is not a type of index", span, hint=hint))
            continue
        expression = text[name.end() : type_.start()]
        found.append(Index(name["name"].strip("`"), expression, text[type_.start("kind") :], granularity, line.span))
    return found, diagnostics + list(_twice(found))


def _granularity(line: str) -> tuple[str, int]:
    """Split a line into the part before GRANULARITY, and the granularity (default: 1)."""
    words = line.rsplit(None, 2)
    if len(words) == 3 and words[1].upper() == "GRANULARITY" and words[2].isdecimal():  # noqa: PLR2004 - split in three
        return words[0].rstrip(), int(words[2])
    return line, 1


def _type(text: str, start: int) -> re.Match[str] | None:
    """Return the first TYPE after an expression for which the rest of the text is a valid type."""
    for match in _TYPE.finditer(text, start):
        whole = match.end() == len(text) if match["open"] is None else text.endswith(")")
        if whole and match.start() > start:
            return match
    return None


def _lines(block: Word) -> Iterator[Word]:
    at = 0
    for part in block.text.split("\n"):
        text = re.split("--|#", part, maxsplit=1)[0].strip().rstrip(",").rstrip()
        if text:
            start = at + part.index(text)
            yield Word(text, block.span.sub(start, start + len(text)))
        at += len(part) + 1


def _twice(indexes: Iterable[Index]) -> Iterator[Diagnostic]:
    seen: dict[str, Index] = {}
    for index in indexes:
        first = seen.setdefault(index.name, index)
        if first is not index:
            related = (Related("first defined here", first.span),)
            message = f"the index '{index.name}' is defined twice"
            yield Diagnostic("CP1206", message, index.span, related=related, hint="rename or remove one")
