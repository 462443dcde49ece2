from __future__ import annotations

import pytest

from clickpipe.runtime import Workspace
from tests.deploy.projects import FILES, send


@pytest.fixture
def deployed(workspace: Workspace) -> Workspace:
    """The project of `projects.py`, with one row."""
    workspace.deploy(FILES)
    send(workspace, "a", 1)
    return workspace
