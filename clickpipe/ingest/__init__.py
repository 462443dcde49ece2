"""Events to rows: the write-ahead log, batches, jsonpaths, quarantine."""

from clickpipe.ingest.body import Lines, decompress, lines_of
from clickpipe.ingest.channel import IngestResult
from clickpipe.ingest.example import example_event
from clickpipe.ingest.ingester import Ingester
from clickpipe.ingest.log import WriteAheadLog

__all__ = [
    "IngestResult",
    "Ingester",
    "Lines",
    "WriteAheadLog",
    "decompress",
    "example_event",
    "lines_of",
]
