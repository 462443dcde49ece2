"""What can happen: one frozen class per event. Each event is in the past, and nobody can prevent it."""

from __future__ import annotations

from dataclasses import dataclass

from clickpipe.catalog import Job, Live


@dataclass(frozen=True, slots=True)
class DeploymentPromoted:
    """A workspace answers from another deployment now."""

    workspace: str
    live: Live


@dataclass(frozen=True, slots=True)
class RowsReplaced:
    """Rows of a data source or quarantine of the live deployment were replaced or deleted, not only appended."""

    workspace: str
    data_source: str


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A job began or ended; `job` is what the catalog says about it now."""

    job: Job


Event = DeploymentPromoted | RowsReplaced | JobChanged
