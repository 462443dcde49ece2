"""The files of a project folder, and cached results about them. Imports nothing slow."""

from clickpipe.folder.cache import CheckCache, CheckResult
from clickpipe.folder.paths import ENDINGS, datafile_paths, project_folders, read_datafiles
from clickpipe.folder.records import FileRecord, Records, RecordStore, text_digest
from clickpipe.folder.state import folder_state

__all__ = [
    "ENDINGS",
    "CheckCache",
    "CheckResult",
    "FileRecord",
    "RecordStore",
    "Records",
    "datafile_paths",
    "folder_state",
    "project_folders",
    "read_datafiles",
    "text_digest",
]
