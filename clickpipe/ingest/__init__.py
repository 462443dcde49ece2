"""Events to rows: the write-ahead log, batches, jsonpaths, quarantine."""

from clickpipe.ingest.body import Lines, decompress, lines_of
from clickpipe.ingest.channel import IngestResult
from clickpipe.ingest.example import example_event
from clickpipe.ingest.ingester import Ingester
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.mapping import Mapping, Names, build_mapping, can_ingest

__all__ = [
    "IngestResult",
    "Ingester",
    "Lines",
    "Mapping",
    "Names",
    "WriteAheadLog",
    "build_mapping",
    "can_ingest",
    "decompress",
    "example_event",
    "lines_of",
]
