"""Reports what a reader does: its status, the ops log and the server's log. Never a secret."""

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
_ATTEMPT = re.compile(r" \(after \d+ms in state [^()]*\)")  # librdkafka adds it; it differs each time
_AGAIN = 60.0  # seconds until a problem is logged again; one that did not occur for as long is over


class Teller:
    """Counts and reports what one reader does."""

    def __init__(self, topic: Topic, log: KafkaLog | None) -> None:
        """Report to `log`."""
        self._topic = topic
        self._log = log
        self.counts = Counts()
        self._told: dict[str, float] = {}  # when each problem was last logged
        self._met = 0.0

    def status(self, partitions: int) -> Status:
        """Return the status of the reader, which has that many partitions."""
        c, t = self.counts, self._topic
        lag = sum(list(c.lag.values()))
        counts = (c.messages, c.errors, c.pauses, c.rebalances, c.problem)
        return Status(t.workspace, t.data_source, t.name, c.state, partitions, lag, *counts)

    def problem(self, text: str) -> None:
        """Report a problem: the same one at most once a minute."""
        text = redact(_ATTEMPT.sub("", text), self._topic.hidden)
        self.counts.errors += 1
        self.counts.problem = text
        now = self._met = time.monotonic()
        self._told = {known: at for known, at in self._told.items() if now - at < _AGAIN}
        if text in self._told:
            return
        self._told[text] = now
        _LOGGER.warning("Kafka data source '%s': %s", self._topic.data_source, text)
        if self._log is not None:
            self._log.problem(self._topic.workspace, self._topic.data_source, self._topic.name, text)

    def paused(self, why: str) -> None:
        """Note that reading is paused."""
        self.counts.pauses += 1
        self.counts.state, self.counts.problem = PAUSED, why

    def reading(self) -> None:
        """Note that reading goes on."""
        self.counts.state, self.counts.problem = READING, ""

    def passed(self, lag: Mapping[int, int]) -> None:
        """Report what was read since the last call, and the lag of each partition."""
        self.counts.lag = dict(lag)
        passed, self.counts.passed = self.counts.passed, {}
        if time.monotonic() - self._met > _AGAIN and self.counts.state == READING:
            self.counts.problem = ""
        if self._log is not None:
            t = self._topic
            for part, one in passed.items():
                self._log.passed(t.workspace, t.data_source, t.name, part, lag.get(part, 0), one.messages, one.size)
