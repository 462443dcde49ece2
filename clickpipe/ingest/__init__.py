"""Events to rows: the write-ahead log, batches, jsonpaths, quarantine."""

from clickpipe.ingest.body import decompress, lines_of
from clickpipe.ingest.example import example_event
from clickpipe.ingest.ingester import Ingester, IngestResult
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.mapping import Mapping, Names, build_mapping, can_ingest

__all__ = [
    "IngestResult",
    "Ingester",
    "Mapping",
    "Names",
    "WriteAheadLog",
    "build_mapping",
    "can_ingest",
    "decompress",
    "example_event",
    "lines_of",
]
