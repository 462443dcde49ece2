"""Service data sources: `tinybird.…` tables about the workspace itself, with their columns.

Their names and types are known, so that pipes that read them compile. The columns are those that the published client's
package documents.
"""

from __future__ import annotations

DATABASE = "tinybird"

_RESOURCE = "pipe_id String, pipe_name String"
SERVICE_SOURCES: dict[str, str] = {
    "pipe_stats_rt": f"start_datetime DateTime, {_RESOURCE}, token String, token_name String, duration Float32, "
    "read_bytes UInt64, read_rows UInt64, cpu_time Float32, result_rows UInt64, url Nullable(String), error UInt8, "
    "error_message Nullable(String), status_code Int32, request_id String, parameters Map(String, String), "
    "method String, release String, user_agent Nullable(String), client_ip Nullable(String), "
    "resource_tags Array(String), memory_usage UInt64, replica String",
    "pipe_stats": f"date Date, {_RESOURCE}, avg_duration_state AggregateFunction(avg, Float32), error_count UInt64, "
    "view_count UInt64, quantile_timing_state AggregateFunction(quantilesTiming(0.9, 0.95, 0.99), Float64), "
    "read_bytes_sum UInt64, read_rows_sum UInt64, cpu_time_sum Float64, resource_tags Array(String)",
    "endpoint_errors": f"start_datetime DateTime, request_id String, {_RESOURCE}, params Nullable(String), "
    "url Nullable(String), status_code Nullable(Int32), error Nullable(String), resource_tags Array(String)",
    "datasources_ops_log": "timestamp DateTime, event_type String, datasource_id String, datasource_name String, "
    "result String, elapsed_time Float32, error Nullable(String), `Options.Names` Array(String), "
    "`Options.Values` Array(String), request_id String, import_id String, job_id Nullable(String), "
    "rows Nullable(UInt64), rows_quarantine Nullable(UInt64), blocks_ids Array(String), operation_id String, "
    "read_rows UInt64, read_bytes UInt64, cpu_time Float32, memory_usage UInt64, written_rows UInt64, "
    "written_bytes UInt64, written_rows_quarantine UInt64, written_bytes_quarantine UInt64, "
    f"{_RESOURCE}, release String, resource_tags Array(String)",
    "datasources_ops_stats": "event_date Date, datasource_id String, datasource_name String, event_type String, "
    f"{_RESOURCE}, error_count UInt64, executions UInt64, read_rows UInt64, read_bytes UInt64, written_rows UInt64, "
    "written_bytes UInt64, written_rows_quarantine UInt64, written_bytes_quarantine UInt64, cpu_time Float64, "
    "resource_tags Array(String)",
    "block_log": "timestamp DateTime, request_id String, import_id String, job_id Nullable(String), source String, "
    "block_id String, status String, datasource_id String, datasource_name String, start_offset Nullable(Int64), "
    "end_offset Nullable(Int64), rows Nullable(Int32), parser Nullable(String), quarantine_lines Nullable(UInt32), "
    "empty_lines Nullable(UInt32), bytes Nullable(UInt32), processing_time Nullable(Float32), "
    "processing_error Nullable(String)",
    "jobs_log": "job_id String, job_type String, status String, error Nullable(String), workspace_id String, "
    "request_id String, pipe_id String, datasource_id String, created_at DateTime64(3), started_at DateTime64(3), "
    "updated_at DateTime64(3), job_metadata String",
    "datasources_storage": "datasource_id String, datasource_name String, timestamp DateTime, "
    "bytes SimpleAggregateFunction(max, UInt64), rows SimpleAggregateFunction(max, UInt64), "
    "bytes_quarantine SimpleAggregateFunction(max, UInt64), rows_quarantine SimpleAggregateFunction(max, UInt64)",
    "kafka_ops_log": "timestamp DateTime, datasource_id String, topic String, partition Int16, msg_type String, "
    "lag Int64, processed_messages Int32, processed_bytes Int32, committed_messages Int32, time_read Float32, "
    "time_process Float32, time_write Float32, msg String",
    "sinks_ops_log": f"timestamp DateTime, job_id String, service String, {_RESOURCE}, result String, "
    "error Nullable(String), elapsed_time Float64, read_rows UInt64, written_rows UInt64, read_bytes UInt64, "
    "written_bytes UInt64, cpu_time Float64, output Array(String), parameters Map(String, String), "
    "options Map(String, String), token_name String",
    "hfi_requests": "event_time DateTime, workspace_id String, datasource_id String, successful_requests UInt64, "
    "error_requests UInt64, rows_total UInt64, rows_successful UInt64, rows_quarantined UInt64, "
    "bytes_received UInt64, bytes_decompressed UInt64, ch_written_rows UInt64, ch_written_bytes UInt64, "
    "ch_cpu_time Float64, rate_limited UInt64, ips Array(String), tokens Array(String)",
}


# Those that a server fills; the others have types, but are not available yet.
SERVED = frozenset(
    {
        "block_log",
        "datasources_ops_log",
        "datasources_storage",
        "endpoint_errors",
        "hfi_requests",
        "jobs_log",
        "kafka_ops_log",
        "sinks_ops_log",
        "pipe_stats",
        "pipe_stats_rt",
    }
)


def qualified(name: str) -> str:
    """Return the name of a service data source in SQL."""
    return f"{DATABASE}.{name}"


def service_ddl(name: str, table: str) -> str:
    """Return the CREATE TABLE of a service data source for type checks; `table` is the quoted name."""
    return f"CREATE TABLE {table} ({SERVICE_SOURCES[name]}) ENGINE = Memory"
