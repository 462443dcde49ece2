"""Tries the connections of a workspace, for the data sources and sinks that use them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from clickpipe.catalog import Job, Live
from clickpipe.connect import (
    Brokers,
    Bucket,
    Outgoing,
    Topic,
    TopicSink,
    brokers_of,
    reach_of,
    sink_of,
    topics_of,
)
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.jobs import Report, Work
from clickpipe.project import Connection, fill_secrets, users_of
from clickpipe.runtime.bucket_imports import BucketImports
from clickpipe.runtime.services import Services
from clickpipe.runtime.tables import LiveTables

KIND = "connection_check"
_KAFKA = "kafka"
_Try = Callable[[Report], str]


class ConnectionChecks:
    """The connections of one workspace's live deployment. Methods may be called from any thread."""

    def __init__(self, services: Services, tables: LiveTables, buckets: BucketImports) -> None:
        """Try those of the deployment that has `tables`; `buckets` are those that it imports from."""
        self._services = services
        self._tables = tables
        self._buckets = buckets
        self._id = tables.workspace

    def start(self, name: str) -> Job:
        """Start a job that tries a connection. Raises ClickpipeError 404 if there is none of this name.

        The job's result is `checks`, a list of {name, found, problem}; it fails if there is a problem.
        """
        self._connection(name)
        return self._services.jobs.submit(self._id, KIND, name, self.work(name))

    def work(self, name: str) -> Work:
        """Return the work of a job that tries a connection."""
        return partial(self._run, name)

    def _connection(self, name: str) -> Connection:
        connections = self._tables.live().compiled.project.connections
        if name not in connections:
            message = f"There is no connection '{name}'"
            raise UnknownResource(
                message, name, [("CONNECTIONS", one) for one in connections], status=404, code="not_found"
            )
        return connections[name]

    def _run(self, name: str, report: Report) -> Mapping[str, Any]:
        checks: list[dict[str, str]] = []
        for what, attempt in self._attempts(self._connection(name)):
            report.check()
            found = problem = ""
            try:
                found = attempt(report)
            except ClickpipeError as error:
                problem = error.message
            checks.append({"name": what, "found": found, "problem": problem})
            report({"checks": checks})
        if failed := [check for check in checks if check["problem"]]:
            message = f"{failed[0]['name']}: {failed[0]['problem']}"
            raise ClickpipeError(message, code="bad_connection")
        return {"checks": checks}

    def _attempts(self, connection: Connection) -> Iterator[tuple[str, _Try]]:
        """Yield what is to be tried, by the name of who needs it."""
        live = self._tables.live()
        sources, sinks = users_of(live.compiled.project, connection.name)
        if connection.type == _KAFKA:
            yield connection.name, partial(self._brokers, connection)
        elif not sources and not sinks:
            yield connection.name, _nothing
        by_name = self._reading(live)
        for source in sources:
            yield source, by_name.get(source, _not_read)
        for sink in sinks:
            yield sink, partial(self._sink, live, sink)

    def _reading(self, live: Live) -> dict[str, _Try]:
        """Return how to try what the data sources of a deployment read."""
        found: dict[str, _Try] = {}
        for topic in topics_of(self._id, live, self._secret):
            if isinstance(topic, Topic):
                found[topic.data_source] = partial(self._topic, topic.brokers, topic.name)
            else:
                found[topic[0]] = partial(_fail, topic[1])
        for bucket in self._buckets.all():
            if isinstance(bucket, Bucket):
                found[bucket.data_source] = partial(self._bucket, bucket)
            else:
                found[bucket[0]] = partial(_fail, bucket[1])
        return found

    def _bucket(self, bucket: Bucket, report: Report) -> str:
        return self._buckets.count_matching(bucket, report.check)

    def _sink(self, live: Live, name: str, report: Report) -> str:
        sink = sink_of(live, name, self._secret)
        if isinstance(sink, TopicSink):
            return self._topic(sink.brokers, sink.topic, report)
        settings = self._services.settings
        private = settings.import_private_urls == "allow"
        outgoing = Outgoing(sink, report, private=private, seconds=settings.import_max_seconds)
        outgoing.list_some(self._services.uploads.path(str(uuid.uuid4())))
        return f"the bucket '{sink.files.names.bucket}' answers; that it takes files is not tried"

    def _brokers(self, connection: Connection, report: Report) -> str:
        options = {name: word.text for name, word in connection.options.items()}
        filled = {name: fill_secrets(text, self._secret).strip() for name, text in options.items()}
        return self._topic(brokers_of(options, filled), None, report)

    def _topic(self, brokers: Brokers, topic: str | None, _report: Report) -> str:
        if self._services.settings.no_producer:
            raise ClickpipeError(f"{self._services.settings.no_producer}.", code="not_installed")
        from clickpipe.connect.broker_check import check_brokers

        return check_brokers(brokers, topic, reach_of(self._id, self._services.registry, self._services.settings))

    def _secret(self, name: str) -> str | None:
        return self._services.secrets.value(self._id, name)


def _fail(error: ClickpipeError, _report: Report) -> str:
    raise error


def _not_read(_report: Report) -> str:
    raise ClickpipeError("this server does not read it: `clickpipe check` says why.", code="not_read")


def _nothing(_report: Report) -> str:
    return "nothing reads or writes through it, so there is nothing to try"
