"""Where the embedded ClickHouse runs: one per process, in a data folder or in memory."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clickpipe.engine.config import write_config
from clickpipe.engine.lost import note_lost_folders
from clickpipe.engine.protocol import EngineError
from clickpipe.engine.repair import mend_deduplication_logs
from clickpipe.engine.space import mend_definitions, mend_mutations
from clickpipe.engine.spool import Spool

_LOGGER = logging.getLogger(__name__)


@dataclass(slots=True)
class Place:
    """Where ClickHouse runs: its address, its spool if it ingests, and a temporary folder to remove at the end."""

    address: str
    spool: Spool | None = None
    scratch: tempfile.TemporaryDirectory[str] | None = None
    engines: int = 1
    running: Path | None = None  # a file that exists while ClickHouse runs on the folder
    unclean: bool = False  # the previous run was killed

    def leave(self) -> None:
        """Give up one engine's use of this place; clean up after the last."""
        with _PLACES:
            self.engines -= 1
            if not self.engines:
                _in_memory[:] = [place for place in _in_memory if place is not self]
                if self.running is not None:
                    self.running.unlink(missing_ok=True)
                if self.scratch is not None:
                    self.scratch.cleanup()


_PLACES = threading.Lock()
_in_memory: list[Place] = []  # engines without a folder share the process's one ClickHouse


def take_place(path: Path | None, sources: Collection[str], open_: Callable[[str], Any], *, ingests: bool) -> Place:
    """Return the place for a new engine, prepared; `open_` opens a session at an address. Raises EngineError."""
    with _PLACES:
        if path is None and _in_memory:
            found = _in_memory[0]
            if ingests and found.spool is None:
                message = "an engine in memory that does not ingest is open in this process"
                raise EngineError(message)
            found.engines += 1
            return found
        scratch = tempfile.TemporaryDirectory(prefix="clickpipe-") if path is None else None
        folder = path or Path(scratch.name if scratch else "")
        folder.mkdir(parents=True, exist_ok=True)
        data = ":memory:" if path is None and not ingests else str(folder / "data")
        running = folder / "running" if path is not None else None
        unclean = running is not None and running.exists()
        if running is not None:
            _mend(folder / "data", running)
        spool = Spool(folder / "spool") if ingests else None
        if spool is not None and not (Path(data).exists() and spool.is_ready()):
            _prepare(spool, open_(f"{data}?config-file={write_config(folder / 'config', files=True)}"))
        address = f"{data}?config-file={write_config(folder / 'config', sources)}"
        place = Place(address, spool, scratch, running=running, unclean=unclean)
        if path is None:
            _in_memory.append(place)
        return place


def _mend(data: Path, running: Path) -> None:
    """Repair what a killed process left. If another process has the folder open, ClickHouse's lock refuses it later."""
    if count := mend_definitions(data):
        _LOGGER.warning("%d definitions that were empty, as a full disk leaves them, or missing were mended", count)
    if count := mend_mutations(data):
        _LOGGER.error("%d mutations that a full disk left without text were removed", count)
    if running.exists() and (count := mend_deduplication_logs(data)):
        _LOGGER.warning("%d tokens of inserts that were killed half done were taken out or mended", count)
    note_lost_folders(data)
    running.touch()


def _prepare(spool: Spool, session: Any) -> None:
    try:
        spool.prepare(lambda statement: session.query(statement, "Null"))
    except RuntimeError as error:
        raise EngineError(str(error)) from error
    finally:
        session.close()
