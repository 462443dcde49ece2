"""A running clickpipe, put together from the rooms below: instances and their workspaces."""

from clickpipe.runtime.instance import DEFAULT_WORKSPACE, Instance
from clickpipe.runtime.opening import check_folder, load, open_project
from clickpipe.runtime.workspace import Workspace

__all__ = ["DEFAULT_WORKSPACE", "Instance", "Workspace", "check_folder", "load", "open_project"]
