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
    sql = (
        "SELECT sum(read_rows), sum(total_rows_approx) FROM system.processes "
        "WHERE Settings['log_comment'] = {tag:String}"
    )

    def look() -> str:
        read, _, total = engine.execute(sql, {"tag": tag}, output="TSV").body.decode().strip().partition("\t")
        return f"{text}: {int(read):,} of {int(total):,} rows" if total and int(total) else ""

    with _looking(look, tell):
        yield


@contextmanager
def parts_told(engine: Engine, tell: Progress, text: str, database: str, table: str) -> Iterator[None]:
    """Tell how many parts of a table the ALTER within has left."""
    sql = (
        "SELECT sum(parts_to_do) FROM system.mutations "
        "WHERE database = {database:String} AND table = {table:String} AND NOT is_done"
    )
    params = {"database": database, "table": table}

    def look() -> str:
        left = int(engine.execute(sql, params, output="TSV").body)
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
