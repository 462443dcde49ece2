"""Diff, plan, apply, promote: how a project becomes what a workspace answers from."""

from clickpipe.deploy.deployer import Deployer, Hooks, Prepared, Progress
from clickpipe.deploy.plan import Category, Changes, Feedback, Plan, Step

__all__ = ["Category", "Changes", "Deployer", "Feedback", "Hooks", "Plan", "Prepared", "Progress", "Step"]
