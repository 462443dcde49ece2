"""The files of a project folder, and what was found out about them before. Imports nothing that takes time."""

from clickpipe.folder.answers import AnswerStore
from clickpipe.folder.cache import CheckCache, CheckResult
from clickpipe.folder.paths import ENDINGS, datafile_paths, project_folders
from clickpipe.folder.state import folder_state

__all__ = ["ENDINGS", "AnswerStore", "CheckCache", "CheckResult", "datafile_paths", "folder_state", "project_folders"]
