"""Messages that were received and not sent to the ingester yet, and the next offset of each partition."""

from __future__ import annotations

from clickpipe.ingest import Message


class Backlog:
    """A reader's queue. Used by one thread; others may read `next`.

    A rebalance may deliver messages twice: those already sent, and those of lost partitions, are skipped.
    """

    def __init__(self) -> None:
        """Start without partitions."""
        self.next: dict[int, int] = {}  # partition -> offset to send next
        self._waiting: list[Message] = []

    def __bool__(self) -> bool:
        """Return whether messages wait."""
        return bool(self._waiting)

    def add(self, message: Message) -> None:
        """Add a received message."""
        self._waiting.append(message)

    def place(self, offsets: dict[int, int]) -> None:
        """Continue with these partitions, each from an offset. Drops what waits: it is received again."""
        self._waiting.clear()
        self.next = offsets

    def batch(self, most: int, size: int) -> list[Message]:
        """Return the next batch: up to `most` messages of about `size` bytes. They stay in the queue until `sent`."""
        batch: list[Message] = []
        fresh: list[Message] = []
        upto = dict(self.next)
        left = size
        for message in self._waiting:
            if message.offset < upto.get(message.partition, message.offset + 1):
                continue
            upto[message.partition] = message.offset + 1
            fresh.append(message)
            if len(batch) == len(fresh) - 1 and len(batch) < most and left > 0:
                batch.append(message)
                left -= len(message.value or b"")
        self._waiting = fresh
        return batch

    def sent(self, batch: list[Message]) -> None:
        """Remove a batch from the queue."""
        ends = {message.partition: message.offset + 1 for message in batch}
        self.next = {**self.next, **ends}
        self._waiting = self._waiting[len(batch) :]
