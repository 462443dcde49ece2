"""Finds views that may refuse rows which they accepted before, as their result depends on more than the row."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView
from clickpipe.engine import Engine, changing_functions, inline
from clickpipe.sql import reads
from clickpipe.template import Binder


def views_behind(live: Live, data_source: str) -> Iterator[MaterializedView]:
    """Yield the views that an insert into a data source runs, directly or through other targets, once each."""
    views = live.compiled.views.values()
    seen: set[str] = set()
    waiting = [data_source]
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        for view in views:
            if view.source == name:
                yield view
                waiting.append(view.target)


def has_views(live: Live, data_source: str) -> bool:
    """Return whether an insert into a data source runs any view."""
    return any(view.source == data_source for view in live.compiled.views.values())


def has_joins(live: Live, data_source: str) -> bool:
    """Tell whether an insert into a data source writes to a Join table, which recognizes no repeated insert."""
    return any(live.compiled.data_sources[name].engine.name.text == "Join" for name in written(live, data_source))


def doubled_by_repeats(live: Live, data_source: str) -> list[str]:
    """Return the tables that have rows twice when an insert into a data source is repeated.

    These are Join tables of the strictness ALL; others keep one row of each key.
    """
    engines = {name: live.compiled.data_sources[name].engine for name in written(live, data_source)}
    found = [name for name, engine in engines.items() if engine.name.text == "Join"]
    return sorted(name for name in found if engines[name].option("JOIN_STRICTNESS").upper() == "ALL")


def written(live: Live, data_source: str) -> set[str]:
    """Return the data sources that an insert into one of them writes to."""
    return {data_source, *(view.target for view in views_behind(live, data_source))}


def is_uncertain(engine: Engine, live: Live, data_source: str) -> bool:
    """Return whether a view of a data source may decide differently about the same rows.

    This is possible with non-deterministic functions (`rand()`, `now()`, `dictGet()`), in the view or in a DEFAULT of a
    table that views read, and with SELECTs that read other tables. A DEFAULT that depends only on the current time does
    not count: `now()` is common there, and views hardly ever refuse a time. Raises EngineError.
    """
    compiled, changing = live.compiled, changing_functions(engine)
    views = list(views_behind(live, data_source))
    for view in views:
        binder = Binder()
        composer = Composer(compiled.project, compiled.reader, live.physical.tables.get)
        sql = inline(composer.pipe(view.pipe, {}, binder).text, binder.params)
        found = reads(engine.syntax_tree(sql), changing)
        if not found.deterministic or found.tables != {live.physical.tables[view.source].replace("`", "")}:
            return True
    for name in {view.source for view in views}:
        defaults = [c.default.text for c in compiled.data_sources[name].columns if c.default]
        if defaults and not reads(engine.syntax_tree(f"SELECT {', '.join(defaults)}"), changing).timely:
            return True
    return False


def has_only_own_views(engine: Engine, live: Live, data_source: str) -> bool:
    """Return whether only the live deployment's own views get the rows, not those of another one.

    Raises EngineError.
    """
    names = written(live, data_source)
    return engine.storage.views_of(live.physical.tables[name] for name in names) <= set(live.physical.objects)
