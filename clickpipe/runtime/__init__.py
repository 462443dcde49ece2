"""A running clickpipe, assembled from the rooms below: instances and their workspaces."""

from clickpipe.catalog import DEFAULT_WORKSPACE
from clickpipe.runtime.data_in import LiveData
from clickpipe.runtime.fixtures import LoadedFixture, fixture_path, load_fixtures
from clickpipe.runtime.instance import Instance
from clickpipe.runtime.opening import open_project
from clickpipe.runtime.staging import StagingData
from clickpipe.runtime.upload import Upload
from clickpipe.runtime.watch import FolderDeployment, deploy_folder, watch_folder
from clickpipe.runtime.workspace import Workspace
from clickpipe.runtime.workspaces import Workspaces

__all__ = [
    "DEFAULT_WORKSPACE",
    "FolderDeployment",
    "Instance",
    "LiveData",
    "LoadedFixture",
    "StagingData",
    "Upload",
    "Workspace",
    "Workspaces",
    "deploy_folder",
    "fixture_path",
    "load_fixtures",
    "open_project",
    "watch_folder",
]
