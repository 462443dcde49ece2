"""Tests whether views and table accept rows before any of them is written.

ClickHouse writes an insert to the table before it runs the views: if one refuses, the table has rows that the view
never saw. So the rows of a table with views are first sent through a copy that stores nothing: Null tables with the
columns of the table and of every target, connected by the same SELECTs. Rows that pass are inserted. The copies also
compute the keys, as the table would.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView, fingerprint
from clickpipe.engine import UNMERGED, Engine, EngineError, inline
from clickpipe.ingest.judge import is_passing, reason_of, refusing_view
from clickpipe.ingest.uncertain import views_behind
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder

_LOGGER = logging.getLogger(__name__)
PROBES = "clickpipe_probes"  # the database of all copies
# For tables whose rows are copied elsewhere later: merges must not change the blocks in which they are read. PLAIN
# follows a CREATE TABLE: it keeps rows unchanged, whatever the engine of their target.
PLAIN = f" ENGINE = MergeTree ORDER BY tuple() SETTINGS {UNMERGED}"


class Probe:
    """A copy of one data source's table, and of everything that views make of its rows, which stores nothing.

    `names` are the data sources that it has copies of, starting with the one that rows are inserted into.
    """

    def __init__(
        self,
        engine: Engine,
        live: Live,
        data_source: str,
        owner: str,
        *,
        views: bool = True,
        keeps: bool = False,
        on_disk: str = "",
        only: str = "",
        like: str = "",
    ) -> None:
        """Create it for the live deployment of the workspace `owner`; without `views`, for the table alone.

        `only` restricts the views to this one and those that feed it. With `like`, a suffix, the copy of its table is
        one like it, beside it on disk.

        With `keeps`, its tables keep the rows, in memory. With `on_disk`, a suffix, tables on disk keep what the views
        produce, named like the view's target plus this suffix. Raises EngineError.
        """
        self._engine = engine
        self._live = live
        self._source = data_source
        self._prefix = f"{owner}_{fingerprint(data_source, str(live.deployment_id), live.physical.tables[data_source])}"
        self._behind = list(views_behind(live, data_source)) if views else []
        self._behind = _through(self._behind, only) if only else self._behind
        self._owner = owner
        self._store = " ENGINE = Memory" if keeps else " ENGINE = Null"
        targets = {view.target for view in self._behind} if on_disk else set()
        self._on_disk = {name: f"{live.physical.tables[name][:-1]}{on_disk}`" for name in targets}
        self._like = f"{live.physical.tables[data_source][:-1]}{like}`" if like else ""
        self.names = list(dict.fromkeys([data_source, *(view.target for view in self._behind)]))
        self._views: dict[str, str] = {}
        self.table = self.copy_of(data_source)
        engine.storage.create_database(PROBES, "Memory")
        self._make()

    def copy_of(self, resource: str) -> str:
        """Return the quoted name of the copy of a data source's table."""
        if self._like and resource == self._source:
            return self._like
        name = quote_identifier(f"{self._prefix}_{resource}")
        return self._on_disk.get(resource) or f"{quote_identifier(PROBES)}.{name}"

    @property
    def on_disk(self) -> dict[str, str]:
        """Return the tables on disk that contain what views produced, with the table that each is for."""
        return {copy: self._live.physical.tables[name] for name, copy in sorted(self._on_disk.items())}

    def _make(self) -> None:
        compiled = self._live.compiled
        for name in self.names:
            self._copy(compiled.data_sources[name])
        for view in self._behind:
            physical = f"{self._prefix}_{view.name}_view"
            self._views[physical] = view.name
            name = f"{quote_identifier(PROBES)}.{quote_identifier(physical)}"
            target = self.copy_of(view.target)
            sql = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name} TO {target} AS\n{self._select(view)}"
            self._engine.execute(sql)

    def _copy(self, source: DataSource) -> None:
        if self._like and source.name == self._source:
            self._engine.execute(f"CREATE TABLE {self._like} AS {self._live.physical.tables[source.name]}")
            return
        columns = ", ".join(
            f"{quote_identifier(c.name)} {c.type}" + (f" DEFAULT {c.default.text}" if c.default else "")
            for c in source.columns
        )
        checked = "".join(f", __checked{n} UInt8 MATERIALIZED {sql}" for n, sql in enumerate(_checked(source)))
        store = PLAIN if source.name in self._on_disk else self._store
        head = f"CREATE TABLE IF NOT EXISTS {self.copy_of(source.name)} ({columns}"
        try:
            self._engine.execute(f"{head}{checked}){store}")
        except EngineError as error:
            if not checked or is_passing(error):
                raise
            _LOGGER.info("keys of '%s' are not checked before an insert: %s", source.name, error.message)
            self._engine.execute(f"{head}){store}")

    def _select(self, view: MaterializedView) -> str:
        """Return a view's SELECT over the copy of its source; other tables are read as they are."""
        compiled, live = self._live.compiled, self._live
        binder = Binder()
        composer = Composer(
            compiled.project,
            compiled.reader,
            lambda name: self.copy_of(name) if name == view.source else live.physical.tables.get(name),
        )
        return inline(composer.pipe(view.pipe, {}, binder).text, binder.params)

    def refused_by(self, error: EngineError) -> tuple[str, str]:
        """Return the resource (a view or the data source) that an error of an insert comes from, and the reason."""
        return self._views.get(refusing_view(error), self._source), reason_of(error)

    @contextmanager
    def only(self, error: EngineError) -> Iterator[Probe]:
        """Yield a probe of only the resource that refused rows, as inserts into it are faster. Raises EngineError."""
        where, _ = self.refused_by(error)
        through = _through(self._behind, where)
        if len(through) == len(self._behind):
            yield self
            return
        owner = f"{self._owner}_only"
        probe = Probe(self._engine, self._live, self._source, owner, views=bool(through), only=where)
        try:
            yield probe
        finally:
            probe.drop()

    @contextmanager
    def real(self) -> Iterator[Probe]:
        """Yield a probe that is a table like the real one, with its engine, codecs and TTL. Raises EngineError.

        It is beside the real one: what a kill leaves of it is removed at the next start, as all tables there that no
        deployment has.
        """
        suffix = f"_like_{uuid.uuid4().hex[:8]}"
        probe = Probe(self._engine, self._live, self._source, self._owner, views=False, like=suffix)
        try:
            yield probe
        finally:
            probe.drop()

    def drop(self) -> None:
        """Remove the copies, except those from `on_disk`. Raises EngineError."""
        names = [f"{quote_identifier(PROBES)}.{quote_identifier(name)}" for name in self._views]
        names += [self.copy_of(name) for name in self.names if name not in self._on_disk]
        for name in names:
            self._engine.execute(f"DROP TABLE IF EXISTS {name}")


def _through(views: list[MaterializedView], name: str) -> list[MaterializedView]:
    """Return a view and those that feed it; [] if `name` is not a view."""
    wanted, before = {name}, 0
    while len(wanted) != before:
        before = len(wanted)
        sources = {view.source for view in views if view.name in wanted}
        wanted |= {view.name for view in views if view.target in sources}
    return [view for view in views if view.name in wanted]


def _checked(source: DataSource) -> Iterator[str]:
    """Yield what a table computes besides its columns, as SQL for a number: rows may be refused because of it."""
    engine = source.engine
    for key in ("PARTITION_KEY", "SORTING_KEY", "SAMPLING_KEY"):
        if "(" in (sql := engine.option(key)) and sql != "tuple()":
            yield f"ignore({sql})"
    yield from (f"ignore({index.expression})" for index in source.indexes)
    if sign := engine.option("SIGN"):
        yield f"throwIf({sign} NOT IN (1, -1), 'a sign is 1 or -1')"
    if deleted := engine.option("IS_DELETED"):
        yield f"throwIf({deleted} NOT IN (0, 1), 'whether a row is deleted is 0 or 1')"
