"""How much memory there is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clickpipe.config import available_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("memory.max", "3000000", 3_000_000),
        ("memory.max", "max", MACHINE),
        ("memory/memory.limit_in_bytes", "3000000\n", 3_000_000),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("other", "1", MACHINE),
    ],
)
def test_a_container_has_less_than_the_machine(tmp_path: Path, name: str, text: str, expected: int) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert available_memory(tmp_path) == expected
