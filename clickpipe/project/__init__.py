"""Reads a folder of datafiles as a Project: resources by name."""

from clickpipe.folder import ENDINGS, datafile_paths, project_folders
from clickpipe.project.bucket import (
    AUTO,
    ON_DEMAND,
    ONCE,
    Files,
    bucket_obstacle,
    bucket_options,
    files_of,
    is_bucket,
    since,
)
from clickpipe.project.build import load_files, load_folder, load_texts
from clickpipe.project.connectors import connection_names, users_of
from clickpipe.project.engine import check_engine
from clickpipe.project.filenames import resource_name
from clickpipe.project.files import decode, read_folder, read_texts
from clickpipe.project.jsonpath import Each, JsonpathError, Key, Step, parse_jsonpath
from clickpipe.project.kafka_columns import is_kafka, is_of_message
from clickpipe.project.kafka_topic import kafka_obstacle, kafka_options, sharing_a_group, tls_of
from clickpipe.project.model import (
    Column,
    Connection,
    DataSource,
    Grant,
    Index,
    Node,
    Pipe,
    PipeKind,
    Project,
    Secret,
    TableEngine,
)
from clickpipe.project.pem import Tls, pem_text
from clickpipe.project.scaffold import scaffold, scaffold_files
from clickpipe.project.secrets import fill_secrets
from clickpipe.project.sink import (
    MANIFESTS,
    Column as NameColumn,
    FileNames,
    JobId,
    SinkFiles,
    Spread,
    file_key,
    is_file_key,
    is_file_sink,
    name_problem,
    options_of_sink,
    sink_files,
    sink_obstacle,
    sink_schedule,
)
from clickpipe.project.sink_topic import is_topic_sink

__all__ = [
    "AUTO",
    "ENDINGS",
    "MANIFESTS",
    "ONCE",
    "ON_DEMAND",
    "Column",
    "Connection",
    "DataSource",
    "Each",
    "FileNames",
    "Files",
    "Grant",
    "Index",
    "JobId",
    "JsonpathError",
    "Key",
    "NameColumn",
    "Node",
    "Pipe",
    "PipeKind",
    "Project",
    "Secret",
    "SinkFiles",
    "Spread",
    "Step",
    "TableEngine",
    "Tls",
    "bucket_obstacle",
    "bucket_options",
    "check_engine",
    "connection_names",
    "datafile_paths",
    "decode",
    "file_key",
    "files_of",
    "fill_secrets",
    "is_bucket",
    "is_file_key",
    "is_file_sink",
    "is_kafka",
    "is_of_message",
    "is_topic_sink",
    "kafka_obstacle",
    "kafka_options",
    "load_files",
    "load_folder",
    "load_texts",
    "name_problem",
    "options_of_sink",
    "parse_jsonpath",
    "pem_text",
    "project_folders",
    "read_folder",
    "read_texts",
    "resource_name",
    "scaffold",
    "scaffold_files",
    "sharing_a_group",
    "since",
    "sink_files",
    "sink_obstacle",
    "sink_schedule",
    "tls_of",
    "users_of",
]
