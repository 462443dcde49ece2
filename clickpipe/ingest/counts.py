"""Counts what an import has written so far."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from clickpipe.ingest.dialect import Layout
from clickpipe.ingest.import_lines import Written

SHOWN_BLOCKS = 100  # in a job's reply


@dataclass(slots=True)
class ImportCounts:
    """What an import has written: rows, rows in quarantine, bytes, and each part as in the block log."""

    import_id: str
    rows: int = 0
    quarantined: int = 0
    size: int = 0
    parts: int = 0
    blocks: list[dict[str, Any]] = field(default_factory=list)
    invalid: int = 0  # quarantined lines that are not rows at all
    layout: Layout | None = None

    def add(self, written: Written, number: int, size: int, token: str) -> None:
        """Count a part, inserted with this token."""
        self.parts = number + 1
        good, bad = written.good, written.bad
        if not good + bad:
            return
        self.rows += good
        self.quarantined += bad
        self.size += size
        self.invalid += written.invalid
        lines_of_it = {"lines": good + bad, "quarantine": bad, "bytes": size}
        seconds = round(written.seconds, 3)
        self.blocks.append({"block_id": token, "process_return": [lines_of_it], "processing_time": seconds})

    def as_dict(self) -> dict[str, Any]:
        """Return it as the result of a job."""
        return {
            "import_id": self.import_id,
            "rows": self.rows,
            "quarantine_rows": self.quarantined,
            "bytes": self.size,
            "parts": self.parts,
            "blocks": self.blocks[-SHOWN_BLOCKS:],
            "invalid_lines": self.invalid,
            **(self.layout.as_dict() if self.layout else {}),
        }

    @classmethod
    def of(cls, told: Mapping[str, Any], layout: Layout | None = None) -> Self:
        """Restore it from a job's result, as returned by `as_dict`; an empty result starts at zero."""
        blocks = list(told.get("blocks", []))
        import_id = told.get("import_id") or str(uuid.uuid4())
        rows, bad, size, parts = (int(told.get(name, 0)) for name in ("rows", "quarantine_rows", "bytes", "parts"))
        return cls(import_id, rows, bad, size, parts, blocks, int(told.get("invalid_lines", 0)), layout)
