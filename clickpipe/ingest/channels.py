"""All channels of a server."""

from __future__ import annotations

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.channel import Batch, Channel, State
from clickpipe.ingest.log_file import Segment
from clickpipe.ingest.position import Position, Positions, furthest


class Channels(dict[tuple[str, str], Channel]):
    """Channels by (workspace, data source), created on first use. The ingester's lock guards changes."""

    def __missing__(self, key: tuple[str, str]) -> Channel:
        """Create the channel of a data source."""
        made = self[key] = Channel(*key)
        return made

    def add(self, segment: Segment, positions: Positions) -> tuple[Channel, Batch]:
        """Queue a segment that an earlier run wrote; it may contain rows for the table and for the quarantine."""
        channel = self[segment.workspace, segment.data_source]
        batch = Batch(segment, state=State.SEALED, good=1, bad=1, positions=positions)
        channel.sealed.append(batch)
        return channel, batch

    def all(self) -> tuple[Channel, ...]:
        """Return all current channels."""
        return tuple(self.values())

    def of(self, workspace: str) -> list[Channel]:
        """Return the channels of a workspace."""
        return [channel for channel in self.all() if channel.workspace == workspace]

    def require_written(self, workspace: str) -> None:
        """Raise ClickpipeError 503 while acknowledged rows of a workspace cannot be inserted."""
        for channel in self.of(workspace):
            if channel.blocked:
                problem = channel.sealed[0].problem
                message = f"Events for '{channel.data_source}' cannot be inserted now ({problem}): try again later."
                raise ClickpipeError(message, status=503, code="events_not_inserted")

    def failing(self) -> list[tuple[str, str]]:
        """Return (data source, reason) for each segment whose insert failed and will be retried."""
        return [(c.data_source, batch.problem) for c in self.all() for batch in tuple(c.sealed) if batch.attempts]

    def logged(self, workspace: str, data_source: str) -> Positions:
        """Return the positions of sources in a data source's segments that are not inserted yet."""
        channel = self.get((workspace, data_source))
        found = [batch.positions for batch in channel.batches()] if channel is not None else []
        return furthest(Position(source, numbers) for positions in found for source, numbers in positions.items())
