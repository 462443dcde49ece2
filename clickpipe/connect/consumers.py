"""The readers of all workspaces: one per Kafka data source of a live deployment."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from clickpipe.bus import DeploymentPromoted
from clickpipe.catalog import Live, Registry, SecretValues, StoppedSources
from clickpipe.config import Settings
from clickpipe.connect.reach import reach_of
from clickpipe.connect.state import Status
from clickpipe.connect.topic import Topic, topics_of
from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest import Ingester
from clickpipe.observe import KafkaLog

if TYPE_CHECKING:
    from clickpipe.connect.reader import Reader

_LOGGER = logging.getLogger(__name__)
_PATIENCE = 20.0  # seconds for all readers to end when the server stops
# Fields of `Status` whose sum is a metric.
GAUGES = {
    "lag": "Messages in topics that are not read yet.",
    "messages": "Messages read from topics since the start.",
    "errors": "Errors while reading topics.",
    "pauses": "Times that reading a topic was paused.",
}


class Consumers:
    """Starts and stops readers to match what is deployed; a reader whose topic did not change keeps running."""

    def __init__(
        self,
        ingester: Ingester,
        workspaces: Registry,
        secrets: SecretValues,
        log: KafkaLog,
        stopped: StoppedSources,
        *,
        settings: Settings | None = None,
        seconds: float = 1.0,
    ) -> None:
        """Check what is live in `workspaces` every `seconds`, previews and `stopped` aside; readers report to `log`.

        The `settings` say which brokers a workspace may read from.
        """
        self._stopped = stopped
        self._settings = settings or Settings()
        self._ingester = ingester
        self._workspaces = workspaces
        self._secrets = secrets
        self._log = log
        self._seconds = seconds
        self._readers: dict[tuple[str, str], Reader] = {}
        self._ending: dict[tuple[str, str], Reader] = {}  # they were asked to end
        self._told: dict[tuple[str, str], str] = {}
        self._ended = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="kafka", daemon=True)

    def start(self) -> None:
        """Start reading. confluent-kafka must be installed."""
        self._thread.start()

    def deployment_promoted(self, _event: DeploymentPromoted) -> None:
        """Check soon what is live."""
        self._wake.set()

    def statuses(self) -> list[Status]:
        """Return the status of each reader."""
        return [reader.status for reader in list(self._readers.values())]

    def problems(self, workspace: str) -> dict[str, str]:
        """Return why data sources of a workspace do not read their topics, by name."""
        return {name: problem for (id_, name), problem in list(self._told.items()) if id_ == workspace}

    def total(self, what: str) -> float:
        """Return the sum of a field over all readers."""
        return float(sum(getattr(status, what) for status in self.statuses()))

    def _loop(self) -> None:
        while not self._ended:
            self._wake.clear()
            try:
                self._follow()
            except Exception:
                _LOGGER.exception("Kafka readers could not be updated")
            self._wake.wait(self._seconds)

    def _follow(self) -> None:
        wanted = self._wanted()
        old = [key for key, reader in self._readers.items() if wanted.get(key) != reader.topic]
        self._end(old)
        self._ending = {key: reader for key, reader in self._ending.items() if not reader.is_over}
        for key, topic in wanted.items():
            if key not in self._readers and key not in self._ending:
                try:
                    self._begin(key, topic)
                except Exception:  # go on with the others
                    _LOGGER.exception("'%s' cannot begin to read its topic", topic.data_source)

    def _begin(self, key: tuple[str, str], topic: Topic) -> None:
        from clickpipe.connect.reader import Reader

        reach = reach_of(key[0], self._workspaces, self._settings)
        self._readers[key] = Reader(topic, self._ingester, self._log, reach=reach)
        _LOGGER.info("'%s' reads the topic '%s'", topic.data_source, topic.name)

    def _wanted(self) -> dict[tuple[str, str], Topic]:
        found: dict[tuple[str, str], Topic] = {}
        for workspace, live in self._workspaces.all_live(previews=False).items():
            try:
                for topic in self._topics(workspace, live):
                    found[workspace, topic.data_source] = topic
            except Exception:  # its readers go on as they are, and so do the others
                _LOGGER.exception("the topics of the workspace %s could not be looked at", workspace)
                found |= {key: reader.topic for key, reader in self._readers.items() if key[0] == workspace}
        return found

    def _topics(self, workspace: str, live: Live) -> Iterator[Topic]:
        """Yield the topics that a workspace reads; report what keeps it from reading others."""
        stopped, most, reading = self._stopped.names(workspace), self._settings.kafka_most_readers, 0
        for topic in topics_of(workspace, live, partial(self._secrets.value, workspace)):
            if isinstance(topic, Topic):
                if topic.data_source in stopped:
                    continue
                reading += 1
                if not most or reading <= most:
                    self._told.pop((workspace, topic.data_source), None)
                    yield topic
                    continue
                message = f"{most} data sources of the workspace read topics, as many as may: see kafka_most_readers."
                name, error = topic.data_source, ClickpipeError(message, code="too_many_readers")
            else:
                name, error = topic
            if self._told.get((workspace, name)) != error.message:
                self._told[workspace, name] = error.message
                _LOGGER.warning("'%s' does not read its topic: %s", name, error.message)
                self._log.problem(workspace, name, "", error.message)

    def _end(self, keys: Iterable[tuple[str, str]]) -> None:
        """Ask readers to end, and wait for none: a broker may answer as slowly as it likes.

        The same data source is read again only when its reader has ended.
        """
        for key in keys:
            reader = self._ending[key] = self._readers.pop(key)
            reader.stop()

    def close(self) -> None:
        """Stop all readers. What they sent is durable, or is read again."""
        self._ended = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._end(list(self._readers))
        until = time.monotonic() + _PATIENCE
        for reader in self._ending.values():
            reader.close(max(0.0, until - time.monotonic()))
        if slow := [reader.topic.data_source for reader in self._ending.values() if not reader.is_over]:
            _LOGGER.warning("the brokers of %s do not let go: left without them", ", ".join(slow))
