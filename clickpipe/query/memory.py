"""Remembers facts about one deployment's queries, so that each is found out only once."""

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
    """Bound calls, facts about SQL texts, pipes that work on their own, and facts about pipes and row filters."""

    live: Live
    bound: Bounded[Hashable, BoundQuery] = field(default_factory=lambda: Bounded(_CALLS))
    judged: Bounded[str, Facts] = field(default_factory=lambda: Bounded(_JUDGED_TEXTS))
    alone: Bounded[str, bool] = field(default_factory=lambda: Bounded(_JUDGED_TEXTS))
    quick: dict[str, bool] = field(default_factory=dict)
    parameters: dict[str, Collection[str]] = field(default_factory=dict)
    _filters: Bounded[Hashable, Settings] = field(default_factory=lambda: Bounded(_CALLS))
    _within: Bounded[Hashable, frozenset[str]] = field(default_factory=lambda: Bounded(_CALLS))

    def filter_settings(self, engine: Engine, filters: Mapping[str, str]) -> Settings:
        """Return the settings that apply row filters. Raises ClickpipeError 400."""
        key = frozenset(filters.items())
        found = self._filters.get(key)
        if found is None:
            found = self._filters[key] = filter_settings(engine, self.live, filters)
        return found

    def read_within(self, composed: Composition, filters: Mapping[str, str]) -> frozenset[str]:
        """Return the filtered data sources that an endpoint must read in sub-queries. Raises ClickpipeError 403.

        The composed text is a sufficient key: it contains everything it was composed from.
        """
        key = (composed.text, frozenset(filters))
        found = self._within.get(key)
        if found is None:
            found = self._within[key] = read_within(self.live, composed, filters)
        return found
