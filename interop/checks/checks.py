"""What the scripts in this folder tell: a line for each thing that a client does here."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

URL, TOKEN = os.environ["URL"], os.environ["TOKEN"]
PORT, CLICKHOUSE_PORT = int(os.environ["PORT"]), int(os.environ["CLICKHOUSE_PORT"])
_failed = 0


@contextmanager
def check(name: str, fault: str = "") -> Iterator[None]:
    """Tell how what is done within went; `fault` is why it cannot work, where that is the client's own."""
    global _failed
    try:
        yield
    except Exception as error:
        if fault:
            print(f"fault {name}: {fault}", flush=True)
            return
        _failed += 1
        print(f"FAIL {name}: {type(error).__name__}: {str(error)[:1500]}", flush=True)
        for line in traceback.format_exc().splitlines()[-4:]:
            print(f"      {line}")
        return
    print(f"ok {name}", flush=True)


def same(found: object, expected: object) -> None:
    """Raise unless both are equal."""
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def end() -> None:
    """Exit with 1 where something failed."""
    sys.exit(1 if _failed else 0)
