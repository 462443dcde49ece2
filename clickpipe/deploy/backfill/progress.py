"""How far a statement is that runs for long: told once a second while it does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clickpipe.deploy.tables import Progress
from clickpipe.engine import Engine, EngineError

_EVERY = 1.0  # seconds


@contextmanager
def rows_told(engine: Engine, tell: Progress, text: str, tag: str) -> Iterator[None]:
    """Tell how many rows the statement within has read, which is run with the setting `log_comment` = `tag`."""

    def look() -> str:
        read, total = engine.storage.rows_read(tag)
        return f"{text}: {read:,} of {total:,} rows" if total else ""

    with _looking(look, tell):
        yield


@contextmanager
def parts_told(engine: Engine, tell: Progress, text: str, table: str) -> Iterator[None]:
    """Tell how many parts of a table the ALTER within has left."""

    def look() -> str:
        left = engine.storage.parts_to_alter(table)
        return f"{text}: {left:,} parts left" if left else ""

    with _looking(look, tell):
        yield


@contextmanager
def _looking(look: Callable[[], str], tell: Progress) -> Iterator[None]:
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(_EVERY):
            try:
                text = look()
            except EngineError:
                continue
            if text and not stop.is_set():
                with contextlib.suppress(Exception):  # it is not wanted any more: who runs the statement is told, too
                    tell(text)

    thread = threading.Thread(target=loop, name="deployment-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
