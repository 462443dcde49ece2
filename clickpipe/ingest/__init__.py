"""Events to rows: the write-ahead log, batches, jsonpaths, quarantine."""

from clickpipe.ingest.body import Lines, decompress, lines_of
from clickpipe.ingest.channel import IngestResult
from clickpipe.ingest.example import example_event
from clickpipe.ingest.fetch import fetch
from clickpipe.ingest.files import FORMATS, Dialect, read_file
from clickpipe.ingest.imports import Importer
from clickpipe.ingest.ingester import Ingester
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.quarantine import Reason, reasons, replay
from clickpipe.ingest.rates import RateLimit

__all__ = [
    "FORMATS",
    "Dialect",
    "Importer",
    "IngestResult",
    "Ingester",
    "Lines",
    "RateLimit",
    "Reason",
    "WriteAheadLog",
    "decompress",
    "example_event",
    "fetch",
    "lines_of",
    "read_file",
    "reasons",
    "replay",
]
