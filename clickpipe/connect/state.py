"""The status of a reader."""

from __future__ import annotations

from dataclasses import dataclass, field

READING, PAUSED, FAILING, STARTING = "reading", "paused", "failing", "starting"


@dataclass(frozen=True, slots=True)
class Status:
    """How a data source's topic is read. `lag` counts messages that are not read yet."""

    workspace: str
    data_source: str
    topic: str
    state: str
    partitions: int
    lag: int
    messages: int
    errors: int
    pauses: int
    rebalances: int
    problem: str


@dataclass(slots=True)
class Passed:
    """What was read of a partition since the last report."""

    messages: int = 0
    size: int = 0


@dataclass(slots=True)
class Counts:
    """A reader's counters. One thread writes them."""

    state: str = STARTING
    messages: int = 0
    errors: int = 0
    pauses: int = 0
    rebalances: int = 0
    problem: str = ""
    lag: dict[int, int] = field(default_factory=dict)
    passed: dict[int, Passed] = field(default_factory=dict)

    def took(self, partition: int, size: int) -> None:
        """Count a message."""
        self.messages += 1
        passed = self.passed.setdefault(partition, Passed())
        passed.messages += 1
        passed.size += size
