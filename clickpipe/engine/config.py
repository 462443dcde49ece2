"""Writes the embedded engine's configuration: default settings, and a user that may not read external sources."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path

from clickpipe.config import COPY_SOURCES

# What projects written for Tinybird need on ClickHouse 26.x, and the JSON form clients expect.
PROFILE: dict[str, str | int] = {
    "joined_subquery_requires_alias": 0,
    # older versions allowed these by default
    "allow_deprecated_error_prone_window_functions": 1,
    "allow_deprecated_snowflake_conversion_functions": 1,
    "allow_nonconst_timezone_arguments": 1,
    "allow_not_comparable_types_in_comparison_functions": 1,
    "allow_not_comparable_types_in_order_by": 1,
    "allow_suspicious_codecs": 1,
    "allow_suspicious_fixed_string_types": 1,
    "allow_suspicious_indices": 1,
    "allow_suspicious_low_cardinality_types": 1,
    "allow_suspicious_primary_key": 1,
    "allow_suspicious_ttl_expressions": 1,
    "allow_suspicious_types_in_group_by": 1,
    "allow_suspicious_types_in_order_by": 1,
    "allow_suspicious_variant_types": 1,
    "analyzer_compatibility_allow_non_aggregate_in_having": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
    "date_time_input_format": "best_effort",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "fsync_metadata": 1,
    "implicit_select": 0,  # as on a server: bare expressions are no statements; our checks go by the first word
    "print_pretty_type_names": 0,
    "max_partitions_per_insert_block": 0,  # acknowledged rows may span any number of days
    # it can be wrong: after a JOIN that ends early it drops rows for every later query
    "use_query_condition_cache": 0,
    "use_query_condition_cache_for_top_k": 0,
    "use_cache_for_count_from_files": 0,  # it compares modification times in whole seconds
}

# No READ or WRITE on FILE, URL, REMOTE, S3 …: a table function that slips through the SQL check cannot open anything.
# Sources that copies may read are granted only if the settings name them.
# (Grants do not cover scalar functions such as file(): only the SQL check stops those.)
GRANTS = (
    "GRANT SHOW, SELECT, INSERT, ALTER, CREATE, DROP, TRUNCATE, OPTIMIZE, CHECK, KILL QUERY, SYSTEM, dictGet ON *.*"
)

# To remove more than 100 old parts at once ClickHouse would start 128 threads and keep them: too many in our process.
MERGE_TREE = {
    "concurrent_part_removal_threshold": 1_000_000,
    # older versions allowed these by default
    "allow_floating_point_partition_key": 1,
    "allow_summing_columns_in_partition_or_order_key": 1,
    "allow_suspicious_indices": 1,
    "check_sample_column_is_correct": 0,
    # deletions and alterations take at most this many of the background's threads from merges (`_POOL`)
    "number_of_free_entries_in_pool_to_execute_mutation": 5,
}

# Threads for merges and mutations of all tables; chdb's own 2 could both be held by one slow deletion, for everybody.
_POOL = 8

# Share of the machine's (or container's) memory; the rest is for Python and results in transit.
_MEMORY = 0.75

# ClickHouse starts no insert or merge that would leave less: on a full disk it loses what it writes (`damage.py`).
_KEPT_FREE = 64 << 20  # bytes; on a small disk, one part in `_KEPT_OF`
_KEPT_OF = 20

_CONFIG = (
    # the rows of a table whose definition was put aside (`unreadable.py`) are not cleaned up
    "<clickhouse>\n"
    "  <database_catalog_unused_dir_cleanup_period_sec>0</database_catalog_unused_dir_cleanup_period_sec>\n"
    "  <max_server_memory_usage_to_ram_ratio>{memory}</max_server_memory_usage_to_ram_ratio>\n"
    "  <background_pool_size>{pool}</background_pool_size>\n"
    "  <background_merges_mutations_concurrency_ratio>1</background_merges_mutations_concurrency_ratio>\n"
    "  <users_config>{users}</users_config>\n  <merge_tree>{merge_tree}</merge_tree>\n"
    "  <storage_configuration><disks><default>\n"
    "    <keep_free_space_bytes>{kept_free}</keep_free_space_bytes>\n"
    "  </default></disks></storage_configuration>\n</clickhouse>\n"
)
_USERS = """<clickhouse>
  <profiles><default>{profile}</default></profiles>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
      <grants>{grants}</grants>
    </default>
  </users>
  <quotas><default/></quotas>
</clickhouse>
"""


def write_config(folder: Path, sources: Collection[str] = (), *, files: bool = False) -> Path:
    """Write the configuration into `folder` and return the main file's path.

    `sources` are the table functions from `COPY_SOURCES` that the user may read. With `files` it may also create tables
    that read files; only `Spool` needs that, briefly, to create its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    users = folder / "users.xml"
    profile, merge_tree = _elements(PROFILE), _elements(MERGE_TREE)
    more = ["GRANT READ ON FILE", "GRANT TABLE ENGINE ON File"] if files else []
    more += [f"GRANT READ ON {source}" for source in sorted({COPY_SOURCES[name] for name in sources})]
    grants = "".join(f"<query>{grant}</query>" for grant in (GRANTS, *more))
    users.write_text(_USERS.format(profile=profile, grants=grants), encoding="utf-8")
    main = folder / "config.xml"
    kept_free = min(_KEPT_FREE, shutil.disk_usage(folder).total // _KEPT_OF)
    text = _CONFIG.format(
        memory=_MEMORY, pool=_POOL, users=escape(str(users)), merge_tree=merge_tree, kept_free=kept_free
    )
    main.write_text(text, encoding="utf-8")
    return main


def _elements(values: Mapping[str, str | int]) -> str:
    return "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items())
