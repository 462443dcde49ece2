"""Names in generated code: types, attributes, comments."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Characters that no comment needs: controls, and those that show the text behind them in another order.
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def type_names(names: Iterable[str]) -> dict[str, str]:
    """Map each name to a unique name in PascalCase."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        wanted = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name)) or "Pipe"
        wanted = f"_{wanted}" if wanted[0].isdigit() else wanted
        free, number = wanted, 2
        while free in taken:
            free, number = f"{wanted}{number}", number + 1
        taken.add(free)
        found[name] = free
    return found


def is_number(text: str) -> bool:
    """Return whether a string is a number in Python, TypeScript and JSON; nothing else may become code."""
    return _NUMBER.fullmatch(text) is not None


def one_line(text: str) -> str:
    """Return a text with all white space collapsed to single spaces, and without characters that hide others."""
    return " ".join(_UNSEEN.sub("", text).split())
