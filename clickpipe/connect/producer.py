"""Sends the rows of a sink to a topic, a message each: every row at least once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from clickpipe.connect.brokers import client_settings
from clickpipe.connect.outgoing import TopicSink
from clickpipe.connect.reach import Reach
from clickpipe.diagnostics import ClickpipeError, redact
from clickpipe.jobs import Report

_SETTINGS: dict[str, str | int | bool] = {
    "enable.idempotence": True,  # a request that is sent again writes nothing twice, and all replicas confirm it
    "linger.ms": 50,
    "queue.buffering.max.kbytes": 65_536,
    "message.timeout.ms": 120_000,
}
_QUIET = logging.getLogger(f"{__name__}.librdkafka")
_QUIET.setLevel(logging.CRITICAL)  # errors also reach `error_cb`
_TIMEOUT = 10.0  # seconds for a request to a broker
_POLL = 1_000  # messages
_AGAIN = 1.0  # seconds between two reports


class TopicProducer:
    """Sends the rows of one run. Used by one thread; `rows` and `size` (bytes) count what brokers have confirmed."""

    def __init__(self, sink: TopicSink, reach: Reach, report: Report) -> None:
        """Connect to brokers within `reach`. Raises ClickpipeError if the topic cannot be written to."""
        self.rows = self.size = 0
        self._sink, self._report = sink, report
        self._failed: KafkaError | None = None
        self._problem, self._told_at = "", time.monotonic()
        settings, self._tokens = client_settings(sink.brokers, reach)
        try:
            self._producer = Producer({**settings, **_SETTINGS, "error_cb": self._on_error}, logger=_QUIET)
            found = self._producer.list_topics(sink.topic, timeout=_TIMEOUT)
        except KafkaException as error:
            raise self._error(error.args[0]) from None
        reach.require(broker.host for broker in found.brokers.values())  # before it connects to these
        about = found.topics[sink.topic].error
        if about is not None and about.code() != KafkaError.LEADER_NOT_AVAILABLE:  # that one is being created
            raise self._error(about)

    def send(self, values: Iterable[bytes]) -> None:
        """Send messages, and wait until brokers have confirmed them. Raises ClickpipeError, JobCancelled, JobStopped.

        After an error some may have been sent.
        """
        try:
            for number, value in enumerate(values, 1):
                self._put(number, value)
                if number % _POLL == 0:
                    self._producer.poll(0)
                    self._go_on()
            while len(self._producer):
                self._producer.flush(0.2)
                self._go_on()
            self._go_on()
        except BaseException:
            self._producer.purge()
            self._producer.flush(0.2)
            raise

    def _put(self, number: int, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._sink.topic, value, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.2)
                self._go_on()
            except KafkaException as error:
                raise self._error(error.args[0], f" (row {number}, {len(value)} bytes)") from None
            else:
                return

    def _go_on(self) -> None:
        """Report how far it is. Raises ClickpipeError if a message was refused, JobCancelled, JobStopped."""
        if self._failed is not None:
            raise self._error(self._failed)
        self._report.check()
        if time.monotonic() - self._told_at > _AGAIN:
            self._told_at = time.monotonic()
            self._report({"rows": self.rows, "bytes": self.size})

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.rows += 1
            self.size += len(message.value() or b"")
        elif self._failed is None:
            self._failed = error

    def _on_error(self, error: KafkaError) -> None:
        self._problem = error.str()

    def _error(self, error: KafkaError, more: str = "") -> ClickpipeError:
        no_token = self._tokens.problem if self._tokens is not None else ""
        also = f": {self._problem}" if self._problem and self._problem != error.str() else ""
        text = redact(no_token or f"{error.str()}{also}", self._sink.brokers.hidden)
        sent = f" {self.rows} rows were sent; the next run sends all." if self.rows else ""
        message = f"The topic '{self._sink.topic}' cannot be written to: {text}{more}.{sent}"
        return ClickpipeError(message, code="send_failed")
