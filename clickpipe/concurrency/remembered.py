"""Remembers what functions of texts return, up to a number of characters.

`lru_cache` counts entries, and callers send texts of any length: a few hundred long ones would fill the memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

_More = ParamSpec("_More")
_Result = TypeVar("_Result")
_OfText = Callable[Concatenate[str, _More], _Result]


def remembered(characters: int) -> Callable[[_OfText[_More, _Result]], _OfText[_More, _Result]]:
    """Return a decorator for a function of a text, whose results are kept for texts of so many characters together.

    The oldest are dropped first. A text that alone takes an eighth of the space is not kept.
    """

    def decorate(function: _OfText[_More, _Result]) -> _OfText[_More, _Result]:
        known: OrderedDict[Hashable, tuple[_Result, int]] = OrderedDict()
        lock, size = threading.Lock(), 0

        @wraps(function)
        def ask(text: str, /, *args: _More.args, **more: _More.kwargs) -> _Result:
            nonlocal size
            if len(text) > characters // 8:
                return function(text, *args, **more)
            key = (text, args, *more.items()) if args or more else text
            with lock:
                if (found := known.get(key)) is not None:
                    known.move_to_end(key)
                    return found[0]
            result = function(text, *args, **more)
            with lock:
                if key not in known:
                    known[key] = result, len(text)
                    size += len(text)
                while size > characters:
                    size -= known.popitem(last=False)[1][1]
            return result

        return ask

    return decorate
