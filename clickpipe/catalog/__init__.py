"""All metadata (workspaces, deployments, tokens, jobs) in one transactional store."""

from clickpipe.catalog.imported_files import DONE, FAILED, WORKING, Entry, FileLedger, Ledger
from clickpipe.catalog.model import Deployment, DeploymentStatus, Job, Live, Physical, Secret, Token, Workspace
from clickpipe.catalog.names import resource_id, service_tables
from clickpipe.catalog.positions import PositionStore
from clickpipe.catalog.registry import DEFAULT_WORKSPACE, Registered, Registry
from clickpipe.catalog.secret_values import SecretValues
from clickpipe.catalog.shown import without_physical_names
from clickpipe.catalog.stopped import StoppedSources
from clickpipe.catalog.store import Catalog
from clickpipe.catalog.times import now
from clickpipe.catalog.tokens import new_token_value

__all__ = [
    "DEFAULT_WORKSPACE",
    "DONE",
    "FAILED",
    "WORKING",
    "Catalog",
    "Deployment",
    "DeploymentStatus",
    "Entry",
    "FileLedger",
    "Job",
    "Ledger",
    "Live",
    "Physical",
    "PositionStore",
    "Registered",
    "Registry",
    "Secret",
    "SecretValues",
    "StoppedSources",
    "Token",
    "Workspace",
    "new_token_value",
    "now",
    "resource_id",
    "service_tables",
    "without_physical_names",
]
