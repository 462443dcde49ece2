"""What is known of one deployment's queries, so that it is found out once."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field

from clickpipe.catalog import Live
from clickpipe.compiler import BoundQuery
from clickpipe.engine import Engine, Settings
from clickpipe.query.bounded import Bounded
from clickpipe.query.filtered import filter_settings, read_within
from clickpipe.query.result_cache import Facts
from clickpipe.sql import Composition

_JUDGED_TEXTS, _CALLS = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Calls as they were bound, facts of texts, pipes that work alone, what was found of pipes and row filters."""

    live: Live
    bound: Bounded[Hashable, BoundQuery] = field(default_factory=lambda: Bounded(_CALLS))
    judged: Bounded[str, Facts] = field(default_factory=lambda: Bounded(_JUDGED_TEXTS))
    alone: Bounded[str, bool] = field(default_factory=lambda: Bounded(_JUDGED_TEXTS))
    quick: dict[str, bool] = field(default_factory=dict)
    parameters: dict[str, Collection[str]] = field(default_factory=dict)
    _filters: Bounded[Hashable, Settings] = field(default_factory=lambda: Bounded(_CALLS))
    _within: Bounded[Hashable, frozenset[str]] = field(default_factory=lambda: Bounded(_CALLS))

    def filter_settings(self, engine: Engine, filters: Mapping[str, str]) -> Settings:
        """Return the settings by which row filters hold. Raises ClickpipeError 400."""
        key = frozenset(filters.items())
        found = self._filters.get(key)
        if found is None:
            found = self._filters[key] = filter_settings(engine, self.live, filters)
        return found

    def read_within(self, composed: Composition, filters: Mapping[str, str]) -> frozenset[str]:
        """Return the filtered data sources that an endpoint's SQL is to read by themselves. Raises ClickpipeError 403.

        A composed text tells all that it is made of.
        """
        key = (composed.text, frozenset(filters))
        found = self._within.get(key)
        if found is None:
            found = self._within[key] = read_within(self.live, composed, filters)
        return found
