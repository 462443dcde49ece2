"""Asks ClickHouse what running statements use: its `system.processes`, by the setting `log_comment`."""

from __future__ import annotations

import json
from collections.abc import Callable

from clickpipe.engine.protocol import QueryResult

Ask = Callable[[str, dict[str, str], str], QueryResult]  # SQL, parameters, format


def read_so_far(ask: Ask, tag: str) -> tuple[int, int]:
    """Return the rows and bytes that the running query with this tag has read."""
    sql = "SELECT sum(read_rows), sum(read_bytes) FROM system.processes WHERE Settings['log_comment'] = {tag:String}"
    rows, size = ask(sql, {"tag": tag}, "TSV").body.split()
    return int(rows), int(size)


def memory(ask: Ask) -> dict[str, int]:
    """Return the bytes of memory that statements use, by tag."""
    sql = "SELECT Settings['log_comment'] AS tag, sum(memory_usage) FROM system.processes WHERE tag != '' GROUP BY tag"
    return {tag: int(size) for tag, size in json.loads(ask(sql, {}, "JSONCompact").body)["data"]}


def threads_of_cancelled(ask: Ask) -> set[int]:
    """Return the system's numbers of the threads of statements that were killed but still run."""
    sql = "SELECT arrayJoin(thread_ids) FROM system.processes WHERE is_cancelled"
    return {int(thread) for thread in ask(sql, {}, "TSV").body.split()}
