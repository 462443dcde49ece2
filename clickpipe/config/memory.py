"""How much memory there is: the machine's, or the container's where that is less."""

from __future__ import annotations

import os
from pathlib import Path

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups, in both their versions


def available_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return bytes of memory; what `groups`, the folder of control groups, allows at most."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            text = (groups / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(found)
