"""Diff, plan, apply, promote: how a project becomes what a workspace answers from."""

from clickpipe.deploy.deployer import Deployer, Hooks, Prepared
from clickpipe.deploy.plan import Category, Changes, Feedback, Plan, Step
from clickpipe.deploy.tables import Progress

__all__ = ["Category", "Changes", "Deployer", "Feedback", "Hooks", "Plan", "Prepared", "Progress", "Step"]
