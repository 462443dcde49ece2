"""ClickHouse behind a set of ports. The only room that imports chdb and clickhouse-driver."""

from clickpipe.engine.checker import EngineChecker, reader_on, scratch, throwaway
from clickpipe.engine.embedded import EmbeddedEngine
from clickpipe.engine.encode import encode_param, encode_params, inline, insert_of_select
from clickpipe.engine.functions import changing_functions, engine_settings
from clickpipe.engine.interrupt import interrupted_by
from clickpipe.engine.lost import lost_tables
from clickpipe.engine.owner import owner, work_for, working_for
from clickpipe.engine.parquet import ParquetFile, open_parquet, parquet_columns
from clickpipe.engine.ports import Analyzer, Engine, Inserts, Queries
from clickpipe.engine.protocol import (
    EngineError,
    Escaped,
    Look,
    Param,
    Params,
    Parts,
    QueryResult,
    ResultColumn,
    Settings,
    whole,
)
from clickpipe.engine.sessions import default_workers
from clickpipe.engine.spool import ABSENT, NoSlot, reads_csv
from clickpipe.engine.storage import Crowded, Extent, Storage, split_table

__all__ = [
    "ABSENT",
    "Analyzer",
    "Crowded",
    "EmbeddedEngine",
    "Engine",
    "EngineChecker",
    "EngineError",
    "Escaped",
    "Extent",
    "Inserts",
    "Look",
    "NoSlot",
    "Param",
    "Params",
    "ParquetFile",
    "Parts",
    "Queries",
    "QueryResult",
    "ResultColumn",
    "Settings",
    "Storage",
    "changing_functions",
    "default_workers",
    "encode_param",
    "encode_params",
    "engine_settings",
    "inline",
    "insert_of_select",
    "interrupted_by",
    "lost_tables",
    "open_parquet",
    "owner",
    "parquet_columns",
    "reader_on",
    "reads_csv",
    "scratch",
    "split_table",
    "throwaway",
    "whole",
    "work_for",
    "working_for",
]
