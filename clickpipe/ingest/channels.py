"""The channels of a server, and what is asked of all of them."""

from __future__ import annotations

from clickpipe.diagnostics import ClickpipeError
from clickpipe.ingest.channel import Batch, Channel, State
from clickpipe.ingest.log_file import Segment
from clickpipe.ingest.position import Position, Positions, furthest


class Channels(dict[tuple[str, str], Channel]):
    """Channels by workspace and data source; one that is not there is made. The ingester's lock guards changes."""

    def __missing__(self, key: tuple[str, str]) -> Channel:
        """Make the channel of a data source."""
        made = self[key] = Channel(*key)
        return made

    def add(self, segment: Segment, positions: Positions) -> tuple[Channel, Batch]:
        """Have a segment of the log inserted that was written before: with rows of both kinds, perhaps."""
        channel = self[segment.workspace, segment.data_source]
        batch = Batch(segment, state=State.SEALED, good=1, bad=1, positions=positions)
        channel.sealed.append(batch)
        return channel, batch

    def all(self) -> tuple[Channel, ...]:
        """Return those there are now."""
        return tuple(self.values())

    def of(self, workspace: str) -> list[Channel]:
        """Return those of a workspace."""
        return [channel for channel in self.all() if channel.workspace == workspace]

    def require_written(self, workspace: str) -> None:
        """Raise ClickpipeError 503 while acknowledged rows of a workspace cannot be inserted."""
        for channel in self.of(workspace):
            if channel.blocked:
                problem = channel.sealed[0].problem
                message = f"Events for '{channel.data_source}' cannot be inserted now ({problem}): try again later."
                raise ClickpipeError(message, status=503, code="events_not_inserted")

    def failing(self) -> list[tuple[str, str]]:
        """Return data source and reason for each segment whose insert failed, to be tried again."""
        return [(c.data_source, batch.problem) for c in self.all() for batch in tuple(c.sealed) if batch.attempts]

    def logged(self, workspace: str, data_source: str) -> Positions:
        """Return how far sources are in segments of a data source that are not inserted yet."""
        channel = self.get((workspace, data_source))
        found = [batch.positions for batch in channel.batches()] if channel is not None else []
        return furthest(Position(source, numbers) for positions in found for source, numbers in positions.items())
