"""From events to rows: the write-ahead log, batches, jsonpaths, quarantine."""

from clickpipe.ingest.analyze import Analysis, analyze, analyze_columns, datasource_text
from clickpipe.ingest.body import Lines, compression, decompress, is_ndjson, lines_of
from clickpipe.ingest.channel import IngestResult
from clickpipe.ingest.charset import in_utf8, is_charset
from clickpipe.ingest.deletions import Deleter, DeletionUnfinished
from clickpipe.ingest.dialect import Dialect
from clickpipe.ingest.fetch import Check, ask, fetch, send
from clickpipe.ingest.files import FORMATS, FileRows, open_file, read_file
from clickpipe.ingest.imports import Importer, Replacing
from clickpipe.ingest.ingester import Ingester
from clickpipe.ingest.judge import is_disk_full, is_passing
from clickpipe.ingest.leftovers import drop_leftovers
from clickpipe.ingest.log import WriteAheadLog
from clickpipe.ingest.messages import Message, Stored, line_of, refused
from clickpipe.ingest.mock import mock_rows
from clickpipe.ingest.position import Position
from clickpipe.ingest.probe import PLAIN, Probe
from clickpipe.ingest.public import is_public
from clickpipe.ingest.quarantine import Reason, reasons
from clickpipe.ingest.replay import replay
from clickpipe.ingest.tables import DeployedTables, TableLock
from clickpipe.ingest.uncertain import has_only_own_views, has_views, is_uncertain
from clickpipe.ingest.writes import NO_FORWARDING, Forwarding

__all__ = [
    "FORMATS",
    "NO_FORWARDING",
    "PLAIN",
    "Analysis",
    "Check",
    "Deleter",
    "DeletionUnfinished",
    "DeployedTables",
    "Dialect",
    "FileRows",
    "Forwarding",
    "Importer",
    "IngestResult",
    "Ingester",
    "Lines",
    "Message",
    "Position",
    "Probe",
    "Reason",
    "Replacing",
    "Stored",
    "TableLock",
    "WriteAheadLog",
    "analyze",
    "analyze_columns",
    "ask",
    "compression",
    "datasource_text",
    "decompress",
    "drop_leftovers",
    "fetch",
    "has_only_own_views",
    "has_views",
    "in_utf8",
    "is_charset",
    "is_disk_full",
    "is_ndjson",
    "is_passing",
    "is_public",
    "is_uncertain",
    "line_of",
    "lines_of",
    "mock_rows",
    "open_file",
    "read_file",
    "reasons",
    "refused",
    "replay",
    "send",
]
