"""Data from and to other systems: topics of Kafka, files in buckets. The only room that knows confluent-kafka."""

from clickpipe.connect.brokers import Brokers, brokers_of
from clickpipe.connect.bucket import Bucket, buckets_of
from clickpipe.connect.consumers import GAUGES, Consumers
from clickpipe.connect.listing import File
from clickpipe.connect.manifest import Manifests
from clickpipe.connect.objects import Objects
from clickpipe.connect.outgoing import Outgoing, Sink, TopicSink, require_sink, sink_of
from clickpipe.connect.reach import reach_of
from clickpipe.connect.state import Status
from clickpipe.connect.topic import Topic, topics_of

__all__ = [
    "GAUGES",
    "Brokers",
    "Bucket",
    "Consumers",
    "File",
    "Manifests",
    "Objects",
    "Outgoing",
    "Sink",
    "Status",
    "Topic",
    "TopicSink",
    "brokers_of",
    "buckets_of",
    "reach_of",
    "require_sink",
    "sink_of",
    "topics_of",
]
