"""Repairs deduplication logs that a killed ClickHouse left inconsistent, before it is started again.

A MergeTree table first writes an insert's token to its log, then renames the insert's part into place. If it is killed
in between, the log has a token without rows: repeating the insert would count as a duplicate, and its rows would be
lost. (Measured: about one kill in 40 while inserting single rows.) So we remove the newest entries whose part neither
exists nor was merged into one that does.

On a full disk an entry may be cut off, and the next one continues on the same line. We remove the fragment and keep the
entry after it: without its token, repeating its insert would write the rows twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_LOG = re.compile(r"deduplication_log_(\d+)\.txt")
_PART = re.compile(r"(?P<partition>[^_]++)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
_NEWEST = 200  # entries to check: enough to cover the inserts that ran when it was killed
_ADDED, _DROPPED = "1", "2"

_Range = tuple[str, int, int]  # partition, first and last number of blocks


def mend_deduplication_logs(data: Path) -> int:
    """Repair all logs in ClickHouse's data folder; nothing may have it open. Return how many entries changed."""
    return sum(_mend(folder) for folder in data.glob("store/*/*/deduplication_logs"))


def mend_deduplication_log(table: Path) -> int:
    """Repair the log of one table, given its folder; nothing may have it open. Return how many entries changed."""
    folder = table / "deduplication_logs"
    return _mend(folder) if folder.is_dir() else 0


def forget_tokens(table: Path, parts: Iterable[str]) -> int:
    """Drop the tokens of inserts whose `parts` are gone from a table, given its folder; return how many.

    A token stays if a part with the same blocks exists. Edits the log in place, which works on a full disk.
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
    """Return a log's files, oldest first."""
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
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
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
    """Rewrite a log; on a full disk in place, as the new text is never longer. Raises OSError."""
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
    """Return a line's entry without a fragment of another before it; '' if the entry itself is incomplete."""
    fields = line.split("\t")[-3:]
    if len(fields) < 3 or not fields[0].endswith((_ADDED, _DROPPED)):  # noqa: PLR2004 - operation, part, token
        return ""
    operation, name, token = fields
    return f"{operation[-1]}\t{name}\t{token}"


def _is_stale(entry: str, parts: Iterable[_Range]) -> bool:
    """Return whether an entry adds a part that does not exist."""
    operation, name, _ = entry.split("\t")
    found = _range(name)
    if operation != _ADDED or found is None:
        return False
    partition, first, last = found
    return not any(p == partition and begin <= first and last <= end for p, begin, end in parts)


def _range(name: str) -> _Range | None:
    match = _PART.fullmatch(name)
    return (match["partition"], int(match["first"]), int(match["last"])) if match else None
