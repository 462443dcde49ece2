"""A folder of datafiles to a Project: resources by name."""

from clickpipe.project.build import load_folder, load_texts
from clickpipe.project.files import ENDINGS, datafile_paths, decode, project_folders, read_folder
from clickpipe.project.jsonpath import Each, JsonpathError, Key, Step, parse_jsonpath
from clickpipe.project.model import Column, DataSource, Grant, Node, Pipe, PipeKind, Project, TableEngine
from clickpipe.project.scaffold import scaffold, scaffold_files

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
    "project_folders",
    "read_folder",
    "scaffold",
    "scaffold_files",
]
