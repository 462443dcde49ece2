"""What a reader tells: its status, the service data source, the server's log. Never a secret."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from clickpipe.connect.state import PAUSED, READING, Counts, Status
from clickpipe.connect.topic import Topic
from clickpipe.diagnostics import redact
from clickpipe.observe import KafkaLog

_LOGGER = logging.getLogger(__name__)
_ATTEMPT = re.compile(r" \(after \d+ms in state \w+[^()]*\)")  # librdkafka's, another each time
_AGAIN = 60.0  # seconds until the same problem is told again; one that was not met for as long is over


class Teller:
    """Counts and tells what one reader does."""

    def __init__(self, topic: Topic, log: KafkaLog | None) -> None:
        """Tell `log`."""
        self._topic = topic
        self._log = log
        self.counts = Counts()
        self._told: dict[str, float] = {}  # when each problem was last told
        self._met = 0.0

    def status(self, partitions: int) -> Status:
        """Return how the reader is, which has so many partitions."""
        c, t = self.counts, self._topic
        lag = sum(list(c.lag.values()))
        counts = (c.messages, c.errors, c.pauses, c.rebalances, c.problem)
        return Status(t.workspace, t.data_source, t.name, c.state, partitions, lag, *counts)

    def problem(self, text: str) -> None:
        """Tell of something that is wrong; of the same again after a minute."""
        text = redact(_ATTEMPT.sub("", text), self._topic.hidden)
        self.counts.errors += 1
        self.counts.problem = text
        now = self._met = time.monotonic()
        self._told = {known: at for known, at in self._told.items() if now - at < _AGAIN}
        if text in self._told:
            return
        self._told[text] = now
        _LOGGER.warning("'%s', which reads a topic: %s", self._topic.data_source, text)
        if self._log is not None:
            self._log.problem(self._topic.workspace, self._topic.data_source, self._topic.name, text)

    def paused(self, why: str) -> None:
        """Tell that nothing is read for a while."""
        self.counts.pauses += 1
        self.counts.state, self.counts.problem = PAUSED, why

    def reading(self) -> None:
        """Tell that all is well."""
        self.counts.state, self.counts.problem = READING, ""

    def passed(self, lag: Mapping[int, int]) -> None:
        """Tell what was taken since the last time, and how much is left of each partition."""
        self.counts.lag = dict(lag)
        passed, self.counts.passed = self.counts.passed, {}
        if time.monotonic() - self._met > _AGAIN and self.counts.state == READING:
            self.counts.problem = ""
        if self._log is not None:
            t = self._topic
            for part, one in passed.items():
                self._log.passed(t.workspace, t.data_source, t.name, part, lag.get(part, 0), one.messages, one.size)
