"""What is told of topics that are read: `kafka_ops_log`. Columns: the reference's."""

from __future__ import annotations

import time
from collections.abc import Callable

from clickpipe.catalog import resource_id
from clickpipe.observe.log import ServiceLog


class KafkaLog:
    """Turns what readers of topics do into rows of the service log. Methods may be called from any thread."""

    def __init__(self, log: ServiceLog, database: Callable[[str], str]) -> None:
        """Write to `log`; `database` gives that of a workspace's id."""
        self._log = log
        self._database = database

    def passed(
        self, workspace: str, data_source: str, topic: str, partition: int, lag: int, messages: int, size: int
    ) -> None:
        """Tell of the messages that were taken of a partition in about a second; `lag` are left in it."""
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
        """Tell of something that keeps a topic from being read."""
        self._write(workspace, data_source, topic, {"partition": -1, "msg_type": "error", "msg": text})

    def _write(self, workspace: str, data_source: str, topic: str, values: dict[str, object]) -> None:
        row = {
            "timestamp": int(time.time()),
            "datasource_id": resource_id(workspace, "datasource", data_source),
            "topic": topic,
            **values,
        }
        self._log.write(self._database(workspace), "kafka_ops_log", row)
