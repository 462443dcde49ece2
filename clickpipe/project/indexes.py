"""INDEXES blocks: data skipping indexes, one a line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from clickpipe.diagnostics import Diagnostic, Related, Word, did_you_mean
from clickpipe.project.model import Index

TYPES = ("minmax", "set", "bloom_filter", "ngrambf_v1", "tokenbf_v1", "text", "vector_similarity")
_LINE = re.compile(
    r"^(?:INDEX\s+)?(?P<name>`[^`]+`|\w+)\s+(?P<expression>.+?)\s+TYPE\s+(?P<type>(?P<kind>\w+)(?:\(.*\))?)"
    r"(?:\s+GRANULARITY\s+(?P<granularity>\d+))?$",
    re.IGNORECASE,
)
_FORM = "an index is: name expression TYPE type(arguments) GRANULARITY number"


def parse_indexes(block: Word) -> tuple[list[Index], list[Diagnostic]]:
    """Return the indexes of a block (or of one line), and what cannot be read."""
    found: list[Index] = []
    diagnostics: list[Diagnostic] = []
    for line in _lines(block):
        match = _LINE.match(line.text)
        if match is None:
            diagnostics.append(Diagnostic("CP1206", "the index cannot be read", line.span, hint=_FORM))
            continue
        if match["kind"].lower() not in TYPES:
            span = line.span.sub(*match.span("kind"))
            hint = did_you_mean(match["kind"], TYPES) or f"the types are: {', '.join(TYPES)}"
            diagnostics.append(Diagnostic("CP1206", f"'{match['kind']}' is not a type of index", span, hint=hint))
            continue
        granularity = int(match["granularity"] or 1)
        found.append(Index(match["name"].strip("`"), match["expression"], match["type"], granularity, line.span))
    return found, diagnostics + list(_twice(found))


def _lines(block: Word) -> Iterator[Word]:
    at = 0
    for part in block.text.split("\n"):
        text = re.sub(r"(--|#).*$", "", part).strip().rstrip(",").rstrip()
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
