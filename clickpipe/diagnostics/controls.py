"""Keeps texts of others from adding lines to a log, or moving what a terminal shows of it."""

from __future__ import annotations

_NAMED = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_ASCII = {code: _NAMED.get(code, f"\\x{code:02x}") for code in range(0x20)}
_OTHERS = (*range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SHOWN = {**_ASCII, **{code: f"\\u{code:04x}" for code in _OTHERS}}  # of the latter, JSON keeps its meaning
_SHOWN_IN_LINES = {code: shown for code, shown in _SHOWN.items() if code != ord("\n")}


def one_line(text: str) -> str:
    """Return a text with escapes for line breaks, and for signs that steer a terminal or turn text round."""
    return text.translate(_SHOWN)


def indented(text: str) -> str:
    """Return lines that all begin with two spaces, with escapes as in `one_line`."""
    return "\n".join(f"  {line}" for line in text.translate(_SHOWN_IN_LINES).split("\n"))
