"""Diff, plan, apply, promote: how a project becomes a workspace's live deployment."""

from clickpipe.deploy.backfill.pace import Pace
from clickpipe.deploy.backfill.rebuild import rebuild_target
from clickpipe.deploy.deployer import Deployer, Prepared
from clickpipe.deploy.planning.incomplete import complete_part
from clickpipe.deploy.planning.physical import layout
from clickpipe.deploy.planning.plan import Changes, Plan
from clickpipe.deploy.planning.step import Category, Feedback, Step
from clickpipe.deploy.standby.clone import Rows
from clickpipe.deploy.standby.standbys import Standbys
from clickpipe.deploy.tables import Progress, Tables
from clickpipe.deploy.writes import Writes

__all__ = [
    "Category",
    "Changes",
    "Deployer",
    "Feedback",
    "Pace",
    "Plan",
    "Prepared",
    "Progress",
    "Rows",
    "Standbys",
    "Step",
    "Tables",
    "Writes",
    "complete_part",
    "layout",
    "rebuild_target",
]
