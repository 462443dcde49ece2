"""Views that may refuse rows which they took a moment before: what they make of a row hangs on more than the row."""

from __future__ import annotations

from collections.abc import Iterator

from clickpipe.catalog import Live
from clickpipe.compiler import Composer, MaterializedView
from clickpipe.engine import Engine, changing_functions, inline
from clickpipe.sql import reads
from clickpipe.template import Binder


def views_behind(live: Live, data_source: str) -> Iterator[MaterializedView]:
    """Yield the views that an insert into a data source runs, also through the targets of others, once each."""
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
    """Tell whether an insert into a data source runs any view."""
    return any(view.source == data_source for view in live.compiled.views.values())


def has_joins(live: Live, data_source: str) -> bool:
    """Tell whether an insert into a data source writes to a Join table, which recognizes no repeated insert."""
    names = {data_source, *(view.target for view in views_behind(live, data_source))}
    return any(live.compiled.data_sources[name].engine.name.text == "Join" for name in names)


def is_uncertain(engine: Engine, live: Live, data_source: str) -> bool:
    """Tell whether a view behind a data source may judge the same rows in two ways.

    So it is with functions that are not deterministic (`rand()`, `now()`, `dictGet()`), here or in a DEFAULT of a table
    that views read, and with SELECTs that read other tables. A DEFAULT of the moment does not count: `now()` is
    frequent there, and views hardly refuse a time. Raises EngineError.
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
    """Tell whether no view but the live deployment's own gets the rows: none of a deployment beside it.

    Raises EngineError.
    """
    names = {data_source, *(view.target for view in views_behind(live, data_source))}
    return engine.storage.views_of(live.physical.tables[name] for name in names) <= set(live.physical.objects)
