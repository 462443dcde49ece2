"""Suggests known words that are similar to an unknown one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'?` for the most similar known word, or '' if none is similar."""
    by_folded = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), list(by_folded), n=1, cutoff=0.7)
    return f"did you mean '{by_folded[near[0]]}'?" if near else ""
