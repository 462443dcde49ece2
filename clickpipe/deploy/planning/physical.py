"""The physical objects of a compiled project: tables and views, named by their content.

A physical name is the resource's name plus a fingerprint of its definition. So whatever did not change keeps its name
in the next deployment and is shared, and whatever changed is a new object next to the old one. The fingerprint of a
view's target also covers the tables that feed it: if two deployments whose views read different tables shared the
target, rows written to both would be in it twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clickpipe.catalog import Physical
from clickpipe.compiler import (
    QUARANTINE_SUFFIX,
    CompiledProject,
    Composer,
    MaterializedView,
    fingerprint,
    table_ddl,
    table_ddl_quarantine,
)
from clickpipe.engine import inline
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier
from clickpipe.template import Binder


@dataclass(frozen=True, slots=True)
class PhysicalObject:
    """One table or view: its bare physical name and its CREATE statement."""

    name: str
    ddl: str
    is_view: bool = False


@dataclass(frozen=True, slots=True)
class PhysicalView:
    """A materialized view with its physical object and its SELECT over physical tables."""

    view: MaterializedView
    object: PhysicalObject
    select: str


@dataclass(slots=True)
class Layout:
    """The physical objects of a compiled project in a workspace's database.

    `definitions` holds a fingerprint per data source of what its rows are: its DDL and the SELECTs that produce them,
    independent of physical names.
    """

    database: str
    definitions: dict[str, str] = field(default_factory=dict)
    data_tables: dict[str, PhysicalObject] = field(default_factory=dict)
    quarantines: dict[str, PhysicalObject] = field(default_factory=dict)
    views: dict[str, PhysicalView] = field(default_factory=dict)

    def qualified(self, name: str) -> str:
        """Return a physical name, quoted and qualified with its database."""
        return f"{quote_identifier(self.database)}.{quote_identifier(name)}"

    def tables(self) -> dict[str, str]:
        """Return the quoted, qualified table for each name that a project's SQL may use."""
        found = {name: self.qualified(o.name) for name, o in self.data_tables.items()}
        found |= {f"{name}_quarantine": self.qualified(o.name) for name, o in self.quarantines.items()}
        return found

    def objects(self) -> list[PhysicalObject]:
        """Return all objects, each after those that it needs."""
        tables = [*self.data_tables.values(), *self.quarantines.values()]
        return [*tables, *(v.object for v in self.views.values())]

    def physical(self) -> Physical:
        """Return the layout as stored in the catalog: names only."""
        return Physical(self.tables(), tuple(o.name for o in self.objects()))


def layout(compiled: CompiledProject, database: str) -> Layout:
    """Return the physical layout of a project."""
    plan = Layout(database)
    plan.definitions.update(definitions(compiled))
    for source in compiled.data_sources.values():
        _add_tables(plan, source, _place(compiled, plan.definitions, source.name, frozenset()))
    tables = plan.tables()
    for view in compiled.views.values():
        plan.views[view.name] = _view(plan, compiled, view, tables)
    return plan


def definitions(compiled: CompiledProject) -> dict[str, str]:
    """Return a fingerprint per data source of its DDL and of the SELECTs that produce its rows."""
    return {
        source.name: fingerprint(table_ddl(source, ""), *sorted(_origins(compiled, source.name, frozenset())))
        for source in compiled.data_sources.values()
    }


def _origins(compiled: CompiledProject, name: str, seen: frozenset[str]) -> set[str]:
    """Return what produces the rows of a view's target: its views' SELECTs and, recursively, their sources' origins."""
    found: set[str] = set()
    for view in compiled.views.values():
        if view.target == name and name not in seen:
            found.add(logical_select(compiled, view))
            found |= _upstream(compiled, view.source, seen | {name})
    return found


def _upstream(compiled: CompiledProject, name: str, seen: frozenset[str]) -> set[str]:
    """Return a data source's origins plus its DDL, as it is refilled if that changes; empty if no view fills it."""
    origins = _origins(compiled, name, seen)
    return origins | {table_ddl(compiled.data_sources[name], "")} if origins else set()


def logical_select(compiled: CompiledProject, view: MaterializedView) -> str:
    """Return a view's SELECT over the project's own names, independent of physical tables."""
    binder = Binder()
    composed = Composer(compiled.project, compiled.reader, None).pipe(view.pipe, {}, binder)
    return inline(composed.text, binder.params)


def _place(compiled: CompiledProject, definitions: Mapping[str, str], name: str, seen: frozenset[str]) -> str:
    """Return the fingerprint in a table's name: of its definition and of the tables that feed it."""
    feeding = {v.source for v in compiled.views.values() if v.target == name} - seen - {name}
    if not feeding:
        return definitions[name] if name in definitions else definitions[name.removesuffix(QUARANTINE_SUFFIX)]
    places = [_place(compiled, definitions, source, seen | {name}) for source in sorted(feeding)]
    return fingerprint(definitions[name], *places)


def _add_tables(plan: Layout, source: DataSource, place: str) -> None:
    own = source.name.replace(".", "__")
    name = f"{own}_{place}"
    plan.data_tables[source.name] = PhysicalObject(name, table_ddl(source, plan.qualified(name)))
    quarantine = f"{own}{QUARANTINE_SUFFIX}_{fingerprint(table_ddl_quarantine(source, ''))}"
    ddl = table_ddl_quarantine(source, plan.qualified(quarantine))
    plan.quarantines[source.name] = PhysicalObject(quarantine, ddl)


def _view(plan: Layout, compiled: CompiledProject, view: MaterializedView, tables: Mapping[str, str]) -> PhysicalView:
    binder = Binder()
    composed = Composer(compiled.project, compiled.reader, tables.get).pipe(view.pipe, {}, binder)
    select = inline(composed.text, binder.params)
    target = tables[view.target]
    name = f"{view.name}_{fingerprint(select, target)}"
    ddl = f"CREATE MATERIALIZED VIEW {plan.qualified(name)} TO {target} AS\n{select}"
    return PhysicalView(view, PhysicalObject(name, ddl, is_view=True), select)
