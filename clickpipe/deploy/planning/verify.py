"""Checks what a deployment is about to create, as ClickHouse parses it, just before anything changes."""

from __future__ import annotations

from collections.abc import Sequence

from clickpipe.compiler import CompiledProject, meant_table, plain_types, table_ddl
from clickpipe.deploy.planning.physical import Layout, PhysicalObject, PhysicalView
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError
from clickpipe.project import DataSource
from clickpipe.sql import Refusal, check, check_create, is_view_of


def judge_layout(engine: Engine, compiled: CompiledProject, layout: Layout, objects: Sequence[PhysicalObject]) -> None:
    """Raise ClickpipeError 400 unless each object is what the project asks for and reads only the project's tables."""
    tables = {table.replace("`", "") for table in layout.tables().values()}
    sources = {layout.data_tables[name].name: source for name, source in compiled.data_sources.items()}
    views = {view.object.name: view for view in layout.views.values()}
    made = [item for item in objects if item.name in sources or item.name in views]
    texts = [_readable(item, sources.get(item.name), layout) for item in made] + [
        views[item.name].select for item in made if item.name in views
    ]
    trees = dict(zip(texts, engine.syntax_trees(texts), strict=True))

    def tree(text: str) -> str:
        found = trees[text]
        if isinstance(found, EngineError):
            raise found
        return found

    for item in made:
        if (source := sources.get(item.name)) is not None:
            _require(item, check_create(tree(_readable(item, source, layout)), meant_table(source)))
        else:
            view: PhysicalView = views[item.name]
            _require(item, check(tree(view.select), tables))
            if not is_view_of(tree(item.ddl), tree(view.select)):
                _require(item, Refusal("The view is another one than its SELECT says."))


def _readable(item: PhysicalObject, source: DataSource | None, layout: Layout) -> str:
    """Return an object's DDL with `JSON(…)` types as plain `JSON`: ClickHouse's tree cannot represent parameters."""
    types = plain_types(source) if source is not None else {}
    if source is None or not types or item.ddl != table_ddl(source, layout.qualified(item.name)):
        return item.ddl
    return table_ddl(source, layout.qualified(item.name), types)


def _require(item: PhysicalObject, refusal: Refusal | None) -> None:
    if refusal is not None:
        raise ClickpipeError(f"{item.name}: {refusal.message}", code="not_allowed")
