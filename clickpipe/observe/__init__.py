"""What a server reports about itself: service data sources (`tinybird.…` in SQL), metrics and logs."""

from clickpipe.observe.ingestion import IngestionLog
from clickpipe.observe.kafka import KafkaLog
from clickpipe.observe.log import ServiceLog
from clickpipe.observe.logs import request_id, set_up_logs
from clickpipe.observe.metrics import CONTENT_TYPE, Metrics
from clickpipe.observe.queries import QUERY_API, Call, QueryLog
from clickpipe.observe.sinks import SinkLog
from clickpipe.observe.storage import StorageLog

__all__ = [
    "CONTENT_TYPE",
    "QUERY_API",
    "Call",
    "IngestionLog",
    "KafkaLog",
    "Metrics",
    "QueryLog",
    "ServiceLog",
    "SinkLog",
    "StorageLog",
    "request_id",
    "set_up_logs",
]
