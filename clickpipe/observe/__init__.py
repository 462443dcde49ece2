"""Service data sources that this server writes: what was done to data sources and asked of it, in SQL `tinybird.…`."""

from clickpipe.observe.ingestion import IngestionLog
from clickpipe.observe.log import ServiceLog
from clickpipe.observe.queries import QUERY_API, Call, QueryLog
from clickpipe.observe.storage import StorageLog

__all__ = ["QUERY_API", "Call", "IngestionLog", "QueryLog", "ServiceLog", "StorageLog"]
