"""What a killed ClickHouse leaves half done in its deduplication logs, mended before it is started again.

A MergeTree table writes the token of an insert to its log first, then gives the insert's part its name. Killed between
the two, it knows a token whose rows are not there: the same insert would be taken for a repetition, and its rows be
lost. (Measured: about one kill in 40 while single rows are inserted.) So the newest entries whose part does not exist,
nor lies in one that parts were merged to, are taken out.

A disk that is full takes a part of an entry; the next one is then written behind it, on the same line. The part goes,
the entry behind it stays: without its token, the insert that it is of would write its rows again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_LOG = re.compile(r"deduplication_log_(\d+)\.txt")
_PART = re.compile(r"(?P<partition>[^_]++)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
_NEWEST = 200  # entries that are looked at: those of inserts that may have run when it was killed
_ADDED, _DROPPED = "1", "2"

_Range = tuple[str, int, int]  # partition, first and last number of blocks


def mend_deduplication_logs(data: Path) -> int:
    """Mend the logs below ClickHouse's data folder, which nothing may have open; return how many entries went."""
    return sum(_mend(folder) for folder in data.glob("store/*/*/deduplication_logs"))


def mend_deduplication_log(table: Path) -> int:
    """Mend the log of one table, by its folder, which nothing may have open; return how many entries went."""
    folder = table / "deduplication_logs"
    return _mend(folder) if folder.is_dir() else 0


def forget_tokens(table: Path, parts: Iterable[str]) -> int:
    """Have a table, by its folder, forget the tokens of inserts that made parts which are gone; return how many.

    A part of the same blocks that is there keeps its token. Done in place: that works on a full disk.
    """
    there = set(_parts(table))
    gone = {found for name in parts if (found := _range(name)) is not None and found not in there}
    count = 0
    for log in _logs(table / "deduplication_logs") if gone else ():
        with log.open("r+b") as file:
            for at, line in _lines(file.read()):
                entry = _entry(line.decode(errors="replace"))
                if entry and entry.startswith(_ADDED) and _range(entry.split("\t")[1]) in gone:
                    file.seek(at + len(line) - len(entry.encode()))
                    file.write(_DROPPED.encode())
                    count += 1
    return count


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for line in data.splitlines(keepends=True):
        yield at, line.rstrip(b"\n")
        at += len(line)


def _logs(folder: Path) -> list[Path]:
    """Return the files of a log, the oldest first."""
    if not folder.is_dir():
        return []
    found = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _LOG.fullmatch(path.name)))
    return [path for _, path in found]


def _parts(table: Path) -> list[_Range]:
    return [found for part in table.iterdir() if (found := _range(part.name)) is not None]


def _mend(folder: Path) -> int:
    parts = _parts(folder.parent)
    left, count = _NEWEST, 0
    for log in reversed(_logs(folder)):
        lines = log.read_text(encoding="utf-8").splitlines()
        before = lines[:-left]
        mended = [
            (line, entry if (entry := _entry(line)) and not _is_stale(entry, parts) else "") for line in lines[-left:]
        ]
        if changed := sum(not entry or line != entry for line, entry in mended):
            kept = [*before, *(entry for _, entry in mended if entry)]
            _replace(log, "".join(f"{line}\n" for line in kept))
        count += changed
        left -= len(mended)
        if left <= 0:
            break
    return count


def _replace(log: Path, text: str) -> None:
    """Write a log anew; in its place on a full disk, as it is not longer than it was. Raises OSError."""
    beside = log.with_suffix(".mended")
    try:
        beside.write_text(text, encoding="utf-8")
    except OSError:
        beside.unlink(missing_ok=True)
        with log.open("r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()
    else:
        beside.replace(log)


def _entry(line: str) -> str:
    """Return the entry of a line, without a part of another before it; '' for one that was not written to its end."""
    fields = line.split("\t")[-3:]
    if len(fields) < 3 or not fields[0].endswith((_ADDED, _DROPPED)):  # noqa: PLR2004 - operation, part, token
        return ""
    operation, name, token = fields
    return f"{operation[-1]}\t{name}\t{token}"


def _is_stale(entry: str, parts: Iterable[_Range]) -> bool:
    """Tell whether an entry adds a part that is not there."""
    operation, name, _ = entry.split("\t")
    found = _range(name)
    if operation != _ADDED or found is None:
        return False
    partition, first, last = found
    return not any(p == partition and begin <= first and last <= end for p, begin, end in parts)


def _range(name: str) -> _Range | None:
    match = _PART.fullmatch(name)
    return (match["partition"], int(match["first"]), int(match["last"])) if match else None
