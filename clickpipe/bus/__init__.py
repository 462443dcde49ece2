"""The event bus: what happened, for whoever wants to know. Who publishes does not know who listens."""

from clickpipe.bus.bus import Bus
from clickpipe.bus.events import DeploymentPromoted, Event, JobChanged, RowsReplaced

__all__ = ["Bus", "DeploymentPromoted", "Event", "JobChanged", "RowsReplaced"]
