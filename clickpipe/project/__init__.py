"""A folder of datafiles to a Project: resources by name."""

from clickpipe.project.build import load_folder, load_texts
from clickpipe.project.files import ENDINGS, datafile_paths, decode, read_folder
from clickpipe.project.jsonpath import Each, JsonpathError, Key, Step, parse_jsonpath
from clickpipe.project.model import Column, DataSource, Grant, Node, Pipe, PipeKind, Project, TableEngine

__all__ = [
    "ENDINGS",
    "Column",
    "DataSource",
    "Each",
    "Grant",
    "JsonpathError",
    "Key",
    "Node",
    "Pipe",
    "PipeKind",
    "Project",
    "Step",
    "TableEngine",
    "datafile_paths",
    "decode",
    "load_folder",
    "load_texts",
    "parse_jsonpath",
    "read_folder",
]
