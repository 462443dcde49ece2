"""A consumer of a topic as a member of a group: its partitions, and where each is read from."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaError, KafkaException, Message as Received, TopicPartition

from clickpipe.connect.backlog import Backlog
from clickpipe.connect.brokers import client_settings
from clickpipe.connect.reach import Reach
from clickpipe.connect.start import Committed, begin
from clickpipe.connect.teller import Teller
from clickpipe.connect.topic import Topic
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Ingester, IngestResult, Message

_QUIET = logging.getLogger(f"{__name__}.librdkafka")
_QUIET.setLevel(logging.CRITICAL)  # errors also reach `error_cb`
_TIMEOUT = 10.0  # seconds for a request to a broker
_LOOK_AGAIN = 30.0  # seconds until a missing offset is tried again
_END, _GONE = -191, -140  # librdkafka's _PARTITION_EOF and _AUTO_OFFSET_RESET


class Member:
    """Joins the group, receives messages into the backlog, commits what is durable. Used by one thread."""

    def __init__(
        self, topic: Topic, ingester: Ingester, backlog: Backlog, teller: Teller, stop: threading.Event, reach: Reach
    ) -> None:
        """Join the group. Raises KafkaException, and ClickpipeError for a topic or broker that cannot be read."""
        self._topic, self._ingester, self._backlog, self._teller, self._stop = topic, ingester, backlog, teller, stop
        self.pending: Future[IngestResult] | None = None  # the batch that was sent and is not known to be durable
        self._own = f"clickpipe {topic.workspace}"
        self._start: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._again_at = 0.0
        self._reach = reach
        settings, self._tokens = client_settings(topic.brokers, reach)
        self._consumer = Consumer({**settings, "error_cb": self._on_error}, logger=_QUIET)
        try:
            self.source = self._name()
            self._consumer.subscribe(
                [topic.name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._forget
            )
        except BaseException:
            self._consumer.close()
            raise

    def _name(self) -> str:
        """Return the name under which positions are stored: cluster, topic and group."""
        found = self._consumer.list_topics(self._topic.name, timeout=_TIMEOUT)
        self._reach.require(broker.host for broker in found.brokers.values())  # before it connects to these
        about = found.topics[self._topic.name]
        if about.error is not None:
            message = f"the topic '{self._topic.name}' cannot be read: {about.error.str()}"
            raise ClickpipeError(message, code="bad_topic")
        cluster = found.cluster_id or self._topic.settings["bootstrap.servers"]
        return f"kafka {cluster}/{self._topic.name}/{self._topic.group}"

    def receive(self, most: int, seconds: float) -> None:
        """Receive up to `most` messages; wait up to `seconds` for them."""
        for one in self._consumer.consume(most, seconds):
            error = one.error()
            if error is None:
                self._backlog.add(_message(one))
            elif error.code() == _GONE:
                self._teller.problem(
                    f"partition {one.partition()} no longer has offset {one.offset()}, so it is not read: see "
                    "docs/kafka.md, 'Offsets that are gone'"
                )
                self._again_at = time.monotonic() + _LOOK_AGAIN
            elif error.code() != _END:
                self._teller.problem(error.str())
        if self._again_at and time.monotonic() >= self._again_at:
            self.place()

    def place(self) -> None:
        """Read each partition from where its rows end."""
        self._again_at = 0.0
        stored = self._stored()
        offsets = {part: max(number, stored.get(part, number)) for part, number in self._start.items()}
        self._backlog.place(offsets)
        self._consumer.assign([TopicPartition(self._topic.name, *one) for one in offsets.items()])

    def await_pending(self) -> None:
        """Wait until the sent batch is durable, without polling; only briefly when the reader stops."""
        if self.pending is not None:
            while not is_done(self.pending, 1.0) and not self._stop.is_set():
                pass
            is_done(self.pending, 5.0)

    def commit(self, *, wait: bool = False) -> None:
        """Commit what is durable, so that others see the lag. This server goes on from the stored positions."""
        pending, offsets = self.pending, dict(self._backlog.next)
        if offsets == self._committed or not offsets:
            return
        if pending is not None and not (pending.done() and pending.exception() is None):
            return
        told = [TopicPartition(self._topic.name, part, number, self._own) for part, number in offsets.items()]
        try:
            if wait:
                self._consumer.commit(offsets=told, asynchronous=False)
            else:
                self._consumer.commit(offsets=told, asynchronous=True)
        except KafkaException as error:
            self._teller.problem(f"offsets cannot be committed: {error.args[0].str()}")
        else:
            self._committed = offsets

    def pause(self, why: str) -> None:
        """Pause reading; stay a member."""
        self._teller.paused(why)
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Resume reading."""
        self._consumer.resume(self._consumer.assignment())
        self._teller.reading()

    def lag(self) -> dict[int, int]:
        """Return the lag of each partition, by the last high watermark that its broker sent."""
        found = {}
        for part, number in self._backlog.next.items():
            _, high = self._consumer.get_watermark_offsets(TopicPartition(self._topic.name, part), cached=True)
            found[part] = max(0, high - number)
        return found

    def leave(self) -> None:
        """Commit what is durable, leave the group."""
        try:
            self.await_pending()
            self.commit(wait=True)
        finally:
            self._consumer.close()
            self._forget()

    def _stored(self) -> dict[int, int]:
        found = self._ingester.positions(self._topic.workspace, self._topic.data_source, self.source)
        return {int(part): number for part, number in found.items()}

    def _assigned(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.await_pending()
        self._teller.counts.rebalances += 1
        self._committed, stored, fresh = {}, self._stored(), False
        self._start = {}
        for found in self._consumer.committed(partitions, timeout=_TIMEOUT) if partitions else []:
            if found.error is not None:
                raise KafkaException(found.error)
            committed = Committed(found.offset, found.metadata or "") if found.offset >= 0 else None
            offset = begin(stored.get(found.partition), committed, self._own)
            if offset is None:
                fresh, offset = True, self._first(found.partition)
            if offset is not None:
                self._start[found.partition] = offset
        self.place()
        self._teller.reading()
        if fresh:  # the next start must begin here too, even if nothing is stored by then
            self.commit(wait=True)

    def _first(self, partition: int) -> int | None:
        if self._topic.reset == "error":
            text = f"the group has never read partition {partition}, and KAFKA_AUTO_OFFSET_RESET is error"
            self._teller.problem(text)
            return None
        place = TopicPartition(self._topic.name, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT)
        return low if self._topic.reset == "earliest" else high

    def _revoked(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self.await_pending()
        self.commit(wait=True)
        self._forget()

    def _forget(self, *_: object) -> None:
        self._start = {}
        self._backlog.place({})

    def _on_error(self, error: KafkaError) -> None:
        no_token = self._tokens.problem if self._tokens is not None else ""
        self._teller.problem(no_token or error.str())


def is_done(pending: Future[IngestResult], seconds: float) -> bool:
    """Return whether the batch was answered within `seconds`."""
    try:
        pending.exception(timeout=seconds)
    except TimeoutError:
        return False
    return True


def _message(received: Received) -> Message:
    kind, milliseconds = received.timestamp()
    headers = received.headers() or []
    return Message(
        str(received.topic()),
        int(received.partition() or 0),
        int(received.offset() or 0),
        milliseconds // 1000 if kind else None,
        _bytes(received.key()),
        _bytes(received.value()),
        tuple((header[0], _bytes(header[1])) for header in headers),
    )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
