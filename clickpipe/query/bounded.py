"""A dict of bounded size."""

from __future__ import annotations

from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Bounded(dict[_Key, _Value]):
    """A dict that is cleared when it is full."""

    def __init__(self, most: int) -> None:
        """Hold up to `most` entries."""
        super().__init__()
        self._most = most

    def __setitem__(self, key: _Key, value: _Value) -> None:
        """Add an entry."""
        if len(self) >= self._most:
            self.clear()
        super().__setitem__(key, value)
