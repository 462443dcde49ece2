"""Data from other systems: topics of Kafka that data sources read. The only room that knows confluent-kafka."""

from clickpipe.connect.consumers import GAUGES, Consumers
from clickpipe.connect.state import Status
from clickpipe.connect.topic import Topic, topics_of

__all__ = ["GAUGES", "Consumers", "Status", "Topic", "topics_of"]
