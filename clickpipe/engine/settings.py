"""ClickHouse's settings by what they do. Other rooms name the effect; only this one names the setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from clickpipe.engine.protocol import Settings

# Limits of a query: our name in settings and tokens → ClickHouse's.
LIMITS: Mapping[str, str] = {
    "max_seconds": "max_execution_time",
    "max_memory_bytes": "max_memory_usage",
    "max_rows_to_read": "max_rows_to_read",
    "max_result_rows": "max_result_rows",
    "max_result_bytes": "max_result_bytes",
}
# Limits that would tell a caller, who may lower them, how much is read.
TELLING_LIMITS = frozenset({LIMITS["max_memory_bytes"], LIMITS["max_rows_to_read"]})
RESULT_LIMITS = frozenset({LIMITS["max_result_rows"], LIMITS["max_result_bytes"]})

# A segment is one block, whatever its size and whatever blocks it was staged in: the parts of a block that is inserted
# again have the same tokens. Several staged blocks need an ORDER BY too, and one thread: ClickHouse passes on blocks
# that need no merging as several threads read them. One thread stages as well, so that rows keep their order.
ONE_BLOCK: Settings = {
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 50,
    "max_block_size": 1 << 30,
    "max_threads": 1,
    "max_insert_threads": 1,
}
ONE_THREAD: Settings = {key: value for key, value in ONE_BLOCK.items() if key != "max_block_size"}
SAME_BLOCKS: Settings = {"max_threads": 1, "max_insert_threads": 1}  # the same rows in the same blocks, each time
IN_ORDER: Settings = {"max_threads": 1}  # rows are read in the order of their table

# What JSON, Dynamic and Variant parse as a time: with best effort, even "12" would be one.
AS_WRITTEN: Settings = {"date_time_input_format": "basic"}
# In JSON and Dynamic, ClickHouse reuses the type of a value in an earlier row if it can: a list of lists for [null],
# floats for whole numbers. Where that would change a value, each row gets a block of its own.
ROW_BY_ROW: Settings = {**AS_WRITTEN, "max_block_size": 1}
# Values as JSON from which the same values are read: numbers that JSON's readers could cut are texts.
EXACT_JSON: Settings = {
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_denormals": 1,
    "output_format_json_named_tuples_as_objects": 1,
    "output_format_json_validate_utf8": 0,  # bytes stay bytes, for the reader to refuse: 1 puts U+FFFD in their place
    "date_time_output_format": "iso",
}

WAIT_FOR_DELETION: Settings = {"mutations_sync": 1}
WAIT_FOR_ALTER: Settings = {"mutations_sync": 2, "alter_sync": 2}
UNMERGED = "max_bytes_to_merge_at_max_space_in_pool = 1"  # of a table whose parts stay as they were inserted


def tagged(tag: str) -> Settings:
    """Return the settings of a statement that `Queries.cancel(tag)` ends."""
    return {"log_comment": tag}


def once(token: str) -> Settings:
    """Return the settings of an insert that is done once, however often it is run with this token."""
    return {"insert_deduplicate": 1, "insert_deduplication_token": token}


def row_by_row(settings: Settings) -> bool:
    """Return whether settings read each row in a block of its own."""
    return settings.get("max_block_size") == 1


def threads(count: int) -> Settings:
    """Return the settings for this many threads; 0 means as many as ClickHouse likes."""
    return {"max_threads": count} if count else {}


def parquet_codec(name: str) -> Settings:
    """Return the settings of a statement that writes Parquet, compressed by `none`, `gzip` or `snappy`."""
    return {"output_format_parquet_compression_method": name}


def memory_limit(size: int) -> Settings:
    """Return the settings of a statement that may use `size` bytes of memory; 0 means no limit."""
    return {LIMITS["max_memory_bytes"]: size}


def time_limit(seconds: float) -> Settings:
    """Return the settings of a statement that may take so many seconds; 0 means no limit."""
    return {LIMITS["max_seconds"]: max(1, math.ceil(seconds))} if seconds else {}


def paced(rows_per_second: int) -> Settings:
    """Return the settings of a statement that reads no more rows a second; 0 means no limit."""
    if not rows_per_second:
        return {}
    return {"max_execution_speed": rows_per_second, "timeout_before_checking_execution_speed": 0}


def only_rows(conditions: Mapping[str, str]) -> Settings:
    """Return the settings with which tables (`database.table`) have only the rows that match their conditions.

    ClickHouse filters when it reads a table, before the query's own conditions except those in PREWHERE; moving
    conditions there is off.
    """
    return {"additional_table_filters": dict(conditions), "optimize_move_to_prewhere": 0} if conditions else {}


def without_views(table: str) -> Settings:
    """Return the settings of an insert into `table` from which no view makes a row, or fails the insert."""
    hidden = {table.replace("`", ""): "0"}
    return {
        "additional_table_filters": hidden,
        "empty_result_for_aggregation_by_empty_set": 1,
        **views_may_fail(),  # a view's sub-query may fail without rows, too
    }


def views_may_fail() -> Settings:
    """Return the settings of an insert whose rows are written without a view that fails, and those behind it."""
    return {"materialized_views_ignore_errors": 1}


def views_without_rows(table: str, places: Sequence[int]) -> Settings:
    """Return the settings of an insert of one block into `table` of which views do not see the rows at `places`."""
    seen = f"rowNumberInBlock() NOT IN ({', '.join(str(int(place)) for place in places)})"
    return {"additional_table_filters": {table.replace("`", ""): seen}}


def split_cache(settings: Settings) -> tuple[Settings, float]:
    """Return settings without those of ClickHouse's query cache, and the seconds for which they ask to cache."""
    if "use_query_cache" not in settings:
        return settings, 0.0
    keep = settings.get("query_cache_ttl", 0)
    rest = {name: value for name, value in settings.items() if "query_cache" not in name}
    return rest, float(str(keep))
