"""The files of a project folder, and what was found out about them before. Imports nothing that takes time."""

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
