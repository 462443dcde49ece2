"""Reads a topic into a data source: a member of its group, in a thread of its own.

Each batch of messages is one request to the ingester, with the position behind it. The next batch follows once it is in
the log. While the ingester refuses batches, partitions are paused, and polling keeps the consumer in its group.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from confluent_kafka import KafkaException

from clickpipe.connect.backlog import Backlog
from clickpipe.connect.framing import REGISTRY, Frames, Unreadable
from clickpipe.connect.member import Member, is_done
from clickpipe.connect.reach import Reach
from clickpipe.connect.state import FAILING, STARTING, Status
from clickpipe.connect.teller import Teller
from clickpipe.connect.topic import Topic
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Ingester, Lines, Message, Position, line_of, refused
from clickpipe.observe import KafkaLog

_LOGGER = logging.getLogger(__name__)
_WAIT = 0.1  # seconds for a batch to become full
_BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_GONE, _BUSY = 404, 503  # the ingester's answers: no such data source; overloaded


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest batch, in messages and bytes, and the largest message, in bytes."""

    messages: int = 2000
    batch_bytes: int = 4 << 20
    message_bytes: int = 10_000_000


class Reader:
    """Reads one topic until it is closed; retries after any error."""

    def __init__(
        self,
        topic: Topic,
        ingester: Ingester,
        log: KafkaLog | None = None,
        limits: Limits | None = None,
        *,
        reach: Reach | None = None,
    ) -> None:
        """Start reading from brokers within `reach`; report to `log`."""
        self.topic = topic
        self._reach = reach or Reach()
        self._ingester = ingester
        self._limits = limits or Limits()
        self._most = self._limits.messages  # messages per batch: fewer while looking for one that cannot be read
        self._backlog = Backlog()
        self._frames = Frames(topic.framing, self._reach.check) if topic.framing is not None else None
        self._teller = Teller(topic, log)
        self._sent: list[Message] = []
        self._unreadable: set[tuple[int, int]] = set()
        self._told_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kafka-{topic.data_source}", daemon=True)
        self._thread.start()

    @property
    def status(self) -> Status:
        """Return its status."""
        return self._teller.status(len(self._backlog.next))

    def stop(self) -> None:
        """Ask it to end soon."""
        self._stop.set()

    @property
    def is_over(self) -> bool:
        """Return whether it has left its group."""
        return not self._thread.is_alive()

    def close(self, seconds: float | None = None) -> None:
        """Stop reading, commit what is durable, and leave the group; wait for that, at most `seconds`."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        failures, counts = 0, self._teller.counts
        while not self._stop.is_set():
            before, counts.state = counts.messages, STARTING
            try:
                self._read()
            except (ClickpipeError, KafkaException) as error:
                self._teller.problem(error.args[0].str() if isinstance(error, KafkaException) else str(error))
            except Exception as error:
                self._teller.problem(f"{type(error).__name__}: {error}")
                _LOGGER.exception("reading for '%s' failed", self.topic.data_source)
            else:
                return
            counts.state = FAILING
            failures = 0 if counts.messages > before else failures
            self._stop.wait(_BACK_OFF[min(failures, len(_BACK_OFF) - 1)])
            failures += 1

    def _read(self) -> None:
        member = Member(self.topic, self._ingester, self._backlog, self._teller, self._stop, self._reach)
        try:
            while not self._stop.is_set():
                self._turn(member)
        finally:
            member.leave()

    def _turn(self, member: Member) -> None:
        if not self._backlog:
            member.receive(self._most, _WAIT)
        if self._backlog or (member.pending is not None and member.pending.done()):
            self._settle(member)
            self._send(member)
        if time.monotonic() - self._told_at > 1.0:
            self._told_at = time.monotonic()
            self._teller.passed(member.lag())
            member.commit()

    def _send(self, member: Member) -> None:
        """Send a batch once the ingester accepts it."""
        paused = False
        while not self._stop.is_set() and (batch := self._backlog.batch(self._most, self._limits.batch_bytes)):
            try:
                self._submit(member, batch)
                break
            except ClickpipeError as error:
                if error.status != _BUSY:
                    raise
                if not paused:
                    if error.code == REGISTRY:
                        self._teller.problem(error.message)
                    member.pause(error.message)
                    paused = True
            member.receive(1, 0.5)  # stay a member: partitions may be reassigned
        if paused:
            member.resume()

    def _submit(self, member: Member, batch: list[Message]) -> None:
        lines = Lines.of(map(self._line, batch))
        ends = {str(message.partition): message.offset + 1 for message in batch}
        position = Position(member.source, ends)
        topic = self.topic
        member.pending = self._ingester.submit(topic.workspace, topic.data_source, lines, wait=False, position=position)
        self._sent = batch
        self._backlog.sent(batch)
        for message in batch:
            self._teller.counts.took(message.partition, len(message.value or b""))

    def _line(self, message: Message) -> bytes:
        if (message.partition, message.offset) in self._unreadable:
            return refused(message, "the message cannot be read")
        if self._frames is not None and len(message.value or b"") <= self._limits.message_bytes:
            try:
                message = self._frames.open(message)
            except Unreadable as error:
                return refused(message, str(error))
        return line_of(message, self.topic.stored, self._limits.message_bytes)

    def _settle(self, member: Member) -> None:
        """Wait until the sent batch is durable; read it again if it was refused."""
        paused = False
        while member.pending is not None and not is_done(member.pending, 1.0) and not self._stop.is_set():
            if not paused:
                member.pause("the last batch is not durable yet")
                paused = True
            member.receive(1, _WAIT)
        if paused:
            member.resume()
        if (pending := member.pending) is None or not pending.done():
            return
        member.pending = None
        if (error := pending.exception()) is None:
            self._most = min(self._limits.messages, self._most * 2)
            self._teller.reading()
            return
        if not isinstance(error, ClickpipeError) or error.status == _GONE:
            raise error
        self._teller.problem(error.message)
        if error.status >= 500:  # noqa: PLR2004 - the disk, the engine: not for what was sent
            self._stop.wait(1.0)
        elif self._most > 1:
            self._most = max(1, self._most // 8)
        else:  # this message cannot be read
            self._unreadable.update((message.partition, message.offset) for message in self._sent)
        member.place()
