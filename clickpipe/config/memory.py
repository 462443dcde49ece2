"""The available memory: the machine's or, if less, the container's."""

from __future__ import annotations

import os
from pathlib import Path

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups, versions 2 and 1


def available_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the available memory in bytes; `groups` is the folder of control groups."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in _LIMITS:
        try:
            text = (groups / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            found.append(int(text))
    return min(found)
