"""Service data sources that this server writes: what was done to data sources, seen in SQL as `tinybird.…`."""

from clickpipe.observe.ingestion import IngestionLog
from clickpipe.observe.log import ServiceLog

__all__ = ["IngestionLog", "ServiceLog"]
