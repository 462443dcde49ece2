"""ClickHouse behind one protocol. The only room that knows chdb and clickhouse-driver."""

from clickpipe.engine.checker import EngineChecker, reader_on, scratch, throwaway
from clickpipe.engine.embedded import EmbeddedEngine
from clickpipe.engine.encode import encode_param, encode_params, inline, insert_of_select
from clickpipe.engine.functions import changing_functions
from clickpipe.engine.interrupt import interrupted_by
from clickpipe.engine.owner import owner, work_for, working_for
from clickpipe.engine.parquet import ParquetFile, open_parquet, parquet_columns
from clickpipe.engine.protocol import (
    Engine,
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

__all__ = [
    "ABSENT",
    "EmbeddedEngine",
    "Engine",
    "EngineChecker",
    "EngineError",
    "Escaped",
    "Look",
    "NoSlot",
    "Param",
    "Params",
    "ParquetFile",
    "Parts",
    "QueryResult",
    "ResultColumn",
    "Settings",
    "changing_functions",
    "default_workers",
    "encode_param",
    "encode_params",
    "inline",
    "insert_of_select",
    "interrupted_by",
    "open_parquet",
    "owner",
    "parquet_columns",
    "reader_on",
    "reads_csv",
    "scratch",
    "throwaway",
    "whole",
    "work_for",
    "working_for",
]
