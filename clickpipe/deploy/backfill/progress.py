"""Reports the progress of a long-running statement, once a second."""

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
    """Report how many rows the statement in this block has read; its setting `log_comment` must be `tag`."""

    def look() -> str:
        read, total = engine.storage.rows_read(tag)
        return f"{text}: {read:,} of {total:,} rows" if total else ""

    with _looking(look, tell):
        yield


@contextmanager
def parts_told(engine: Engine, tell: Progress, text: str, table: str) -> Iterator[None]:
    """Report how many parts of a table the ALTER in this block still has to rewrite."""

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
                with contextlib.suppress(Exception):  # cancelled: the thread that runs the statement finds out itself
                    tell(text)

    thread = threading.Thread(target=loop, name="deployment-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
