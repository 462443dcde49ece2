"""A dict of bounded size."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_MOST_BYTES = 32 << 20  # of keys and texts


class Bounded(dict[_Key, _Value]):
    """A dict that is cleared when it has too many entries, or too much text in them."""

    def __init__(self, most: int, most_bytes: int = _MOST_BYTES) -> None:
        """Hold up to `most` entries, and about `most_bytes` of texts in their keys and as their values' `text`."""
        super().__init__()
        self._most, self._most_bytes = most, most_bytes
        self._bytes = 0

    def __setitem__(self, key: _Key, value: _Value) -> None:
        """Add an entry."""
        size = weight(key) + weight(getattr(value, "text", ""))
        if len(self) >= self._most or self._bytes + size > self._most_bytes:
            self.clear()
            self._bytes = 0
        self._bytes += size
        super().__setitem__(key, value)


def weight(found: Any) -> int:
    """Return about how many bytes the texts in a key take: keys are texts, numbers, and tuples and sets of them."""
    total, waiting = 0, [found]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str | bytes):
            total += sys.getsizeof(one)
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, tuple | list | frozenset):
            waiting += one
            total += 8 * len(one)
    return total
