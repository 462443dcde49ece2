"""What a reader is doing, as others see it."""

from __future__ import annotations

from dataclasses import dataclass, field

READING, PAUSED, FAILING, STARTING = "reading", "paused", "failing", "starting"


@dataclass(frozen=True, slots=True)
class Status:
    """How a data source's topic is read; `lag` is the messages that are in it and not taken yet."""

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
    """What was taken of a partition since it was told last."""

    messages: int = 0
    size: int = 0


@dataclass(slots=True)
class Counts:
    """What a reader counts. One thread writes it."""

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
