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
from collections.abc import Iterable
from pathlib import Path

_LOG = re.compile(r"deduplication_log_(\d+)\.txt")
_PART = re.compile(r"(?P<partition>[^_]++)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
_NEWEST = 200  # entries that are looked at: those of inserts that may have run when it was killed
_ADDED, _DROPPED = "1", "2"

_Range = tuple[str, int, int]  # partition, first and last number of blocks


def mend_deduplication_logs(data: Path) -> int:
    """Mend the logs below ClickHouse's data folder, which nothing may have open; return how many entries went."""
    return sum(_mend(folder) for folder in data.glob("store/*/*/deduplication_logs"))


def _mend(folder: Path) -> int:
    logs = sorted((int(match[1]), path) for path in folder.iterdir() if (match := _LOG.fullmatch(path.name)))
    parts = [found for part in folder.parent.iterdir() if (found := _range(part.name)) is not None]
    left, count = _NEWEST, 0
    for _, log in reversed(logs):
        lines = log.read_text(encoding="utf-8").splitlines()
        before = lines[:-left]
        mended = [
            (line, entry if (entry := _entry(line)) and not _is_stale(entry, parts) else "") for line in lines[-left:]
        ]
        if changed := sum(not entry or line != entry for line, entry in mended):
            beside = log.with_suffix(".mended")
            kept = [*before, *(entry for _, entry in mended if entry)]
            beside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            beside.replace(log)
        count += changed
        left -= len(mended)
        if left <= 0:
            break
    return count


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
