"""Messages that came and are not sent yet, and where each partition is."""

from __future__ import annotations

from clickpipe.ingest import Message


class Backlog:
    """What a reader has of its partitions. Used by one thread; `next` may be looked at by others.

    A message that is behind what was sent, or of a partition that is not ours any more, is passed over: a rebalance
    may bring messages twice.
    """

    def __init__(self) -> None:
        """Begin with no partition."""
        self.next: dict[int, int] = {}  # the offset that is sent next, by partition
        self._waiting: list[Message] = []

    def __bool__(self) -> bool:
        """Tell whether messages wait."""
        return bool(self._waiting)

    def add(self, message: Message) -> None:
        """Take a message that came."""
        self._waiting.append(message)

    def place(self, offsets: dict[int, int]) -> None:
        """Go on with these partitions, each from an offset; what waits comes again."""
        self._waiting.clear()
        self.next = offsets

    def batch(self, most: int, size: int) -> list[Message]:
        """Return what is to be sent next: so many messages, of about so many bytes. It waits until it is `sent`."""
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
        """Go on behind a batch."""
        ends = {message.partition: message.offset + 1 for message in batch}
        self.next = {**self.next, **ends}
        self._waiting = self._waiting[len(batch) :]
