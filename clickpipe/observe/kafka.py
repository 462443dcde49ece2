"""The service data source `kafka_ops_log`; the hosted engine defines its columns."""

from __future__ import annotations

import time

from clickpipe.catalog import Registry, resource_id
from clickpipe.observe.log import ServiceLog


class KafkaLog:
    """Writes what topic readers do to the service log. Methods are thread-safe."""

    def __init__(self, log: ServiceLog, workspaces: Registry) -> None:
        """Write to `log`, into the databases of `workspaces`."""
        self._log = log
        self._workspaces = workspaces

    def passed(
        self, workspace: str, data_source: str, topic: str, partition: int, lag: int, messages: int, size: int
    ) -> None:
        """Record the messages read from a partition in about a second, and its `lag`."""
        self._write(
            workspace,
            data_source,
            topic,
            {
                "partition": partition,
                "msg_type": "info",
                "lag": lag,
                "processed_messages": messages,
                "processed_bytes": size,
                "committed_messages": messages,
                "msg": "",
            },
        )

    def problem(self, workspace: str, data_source: str, topic: str, text: str) -> None:
        """Record an error while reading a topic."""
        self._write(workspace, data_source, topic, {"partition": -1, "msg_type": "error", "msg": text})

    def _write(self, workspace: str, data_source: str, topic: str, values: dict[str, object]) -> None:
        row = {
            "timestamp": int(time.time()),
            "datasource_id": resource_id(workspace, "datasource", data_source),
            "topic": topic,
            **values,
        }
        self._log.write(self._workspaces.database(workspace), "kafka_ops_log", row)
