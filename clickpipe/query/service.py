"""The one way of a query: bind → validate → cache → limit → run. Who may call is checked before, by the route.

Each step is a method or function with typed input and output. A caller that stops waiting is cancelled down to
ClickHouse. Everything but streamed parts raises ClickpipeError only, with what the caller may know of an error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from clickpipe.catalog import Live, without_physical_names
from clickpipe.compiler import BoundQuery
from clickpipe.concurrency import in_thread
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import RESULT_LIMITS, Engine, EngineError, QueryResult, Settings, changing_functions, split_cache
from clickpipe.query.answer import Answer
from clickpipe.query.binding import Bindings
from clickpipe.query.filtered import hide_rows, own_rows, require_hidden, without_guesses
from clickpipe.query.formats import format_named
from clickpipe.query.limiter import ConcurrencyLimiter
from clickpipe.query.options import QueryLimits, QueryOptions, bounded, limits_of
from clickpipe.query.own_sql import Allowed, explained
from clickpipe.query.prepare import Own, prepare_own
from clickpipe.query.refusals import failure, hide_secrets, hiding, judge, secrets_of, with_parameters
from clickpipe.query.result_cache import Facts, ResultCache, facts_of, frozen
from clickpipe.sql import Composition, reads, within_limits
from clickpipe.template import BoundSQL, Secrets

_Result = TypeVar("_Result")


class QueryService:
    """Runs queries of one workspace. `live` is read for every query. Coroutines may run on any event loop."""

    def __init__(
        self,
        engine: Engine,
        live: Callable[[], Live | None],
        limits: QueryLimits | None = None,
        prepare: Callable[[], None] = lambda: None,
        cache: ResultCache | None = None,
        limiter: ConcurrencyLimiter | None = None,
        secret: Secrets = environment_secret,
        owner: str = "",
    ) -> None:
        """Run on `engine`; `prepare` updates the tables of service data sources before a query that reads one.

        `cache` caches endpoint results, `limiter` limits concurrent queries, `secret` resolves `tb_secret`. Queries of
        the same `owner` share one queue.
        """
        self._limiter, self._owner = limiter or ConcurrencyLimiter(engine, 4, 1_000), owner or self
        self._cache = cache or ResultCache(0)
        self._prepare = prepare
        self._secret = secret
        self._engine = engine
        self._live = live
        self._bindings = Bindings(secret)
        self._settings = (limits or QueryLimits()).settings()
        self._settings_key = frozen(self._settings)

    def live(self) -> Live:
        """Return the live deployment. Raises ClickpipeError 404 before the first deployment."""
        live = self._live()
        if live is None:
            message = "Nothing is deployed in this workspace yet. Deploy a project with `clickpipe deploy`."
            raise ClickpipeError(message, status=404, code="not_deployed")
        return live

    # An endpoint

    async def endpoint(self, name: str, options: QueryOptions, known: str = "") -> Answer:
        """Call an endpoint; `known` is the caller's If-None-Match. A cached result is returned without waiting.

        Raises ClickpipeError: 404 for an unknown endpoint, 400 for bad parameters, 429 if too many queries wait, and
        the engine's errors as `failure` words them.
        """
        try:
            return await self._on_live(partial(self._call, name, options, known))
        except EngineError as error:
            raise with_parameters(failure(error), error, options.values) from error

    async def _on_live(self, ask: Callable[[Live], Coroutine[Any, Any, _Result]]) -> _Result:
        """Ask the live deployment; again if another was promoted, and the old tables removed, just in between."""
        live = self.live()
        try:
            return await ask(live)
        except EngineError as error:
            if error.name != "UNKNOWN_TABLE" or self._live() is live:
                raise
        return await ask(self.live())

    async def _call(self, name: str, options: QueryOptions, known: str, live: Live) -> Answer:
        began = time.perf_counter()
        options = self._bindings.fixed(live, name, options)
        if self._bindings.is_quick(live, name, options.values):
            bound = self._bindings.bound(live, name, options.values)
        else:
            bound = await in_thread(self._bindings.bound, live, name, options.values)
        facts = None if options.filters else self._bindings.memory(live).judged.get(bound.text)
        if facts is None:
            validated = await in_thread(self._validated, live, name, bound, options)
            bound, facts = validated
        return await self._cached(live, bound, options, facts, known, time.perf_counter() - began)

    def _validated(self, live: Live, name: str, bound: BoundQuery, options: QueryOptions) -> tuple[BoundQuery, Facts]:
        """Check a SQL text that is new: parameters decide which branches of a template it contains."""
        memory = self._bindings.memory(live)
        if options.filters and (within := memory.read_within(bound.composed, options.filters)):
            bound = self._bindings.bind(live, name, options.values, *within)
        facts = memory.judged.get(bound.text)
        if facts is None:
            tree = self._judge(live, bound.composed, options)
            facts = memory.judged[bound.text] = facts_of(live, reads(tree, changing_functions(self._engine)))
        else:
            require_hidden(live, bound.composed, options)
        return bound, facts

    async def _cached(
        self, live: Live, bound: BoundSQL, options: QueryOptions, facts: Facts, known: str, rendered: float
    ) -> Answer:
        settings, asked = split_cache(self._settings_of(live, bound, options))
        keep = asked or facts.keep
        if not self._cache.active or not (asked or facts.shared) or options.filters:
            result = await self._run(bound, options, settings)  # a cache hit would reveal whether others wrote
            return Answer(result, rendered=rendered)
        versions = self._engine.versions(facts.tables) if not asked else ()
        told = self._settings_key if settings is self._settings else frozen(settings)
        key = (bound.text, frozen(bound.params), options.output.clickhouse, told, tuple(versions), options.is_limited)
        return await self._cache.answer(
            key, keep, known, partial(self._run, bound, options, settings), rendered, self._owner
        )

    async def explain(self, name: str, options: QueryOptions) -> list[str]:
        """Return the lines of EXPLAIN for an endpoint's query, including what indexes skip.

        Raises ClickpipeError as `endpoint` does, and 403 for callers with row filters.
        """
        if options.is_limited:
            message = "EXPLAIN is not for a token that may read some rows only: it counts parts and granules of all."
            raise ClickpipeError(message, status=403, code="forbidden")
        try:
            return await self._on_live(partial(self._plan, name, options))
        except EngineError as error:
            raise failure(error) from error

    async def _plan(self, name: str, options: QueryOptions, live: Live) -> list[str]:
        plan = replace(options, explain="EXPLAIN indexes = 1", output=format_named("TSVRaw"))
        bound = await in_thread(self._judged_call, live, name, self._bindings.fixed(live, name, options))
        result = await self._run(bound, plan, self._settings)
        text = hide_secrets(result.body.decode(errors="replace"), bound.params)
        return without_physical_names(text).rstrip("\n").split("\n")

    def _judged_call(self, live: Live, name: str, options: QueryOptions) -> BoundQuery:
        bound = self._bindings.bind(live, name, options.values)
        self._judge(live, bound.composed, options)
        return bound

    # A caller's own SQL

    async def over_endpoint(self, name: str, sql: str, options: QueryOptions, allowed: Allowed) -> Answer:
        """Run a caller's SELECT over an endpoint's result, named `_`. Raises as `endpoint` and `sql` do."""
        self._bindings.function(self.live(), name)
        return await self.sql(sql, replace(options, pipeline=name), allowed)

    async def sql(self, text: str, options: QueryOptions, allowed: Allowed) -> Answer:
        """Run a caller's own SELECT (a template if it starts with `%`).

        `allowed(kind, name)` is called for each data source (`DATASOURCES`), pipe (`PIPES`) and service data source
        (`SERVICE`) that the text names, and raises if the caller may not read it. Raises ClickpipeError unless the text
        is one read-only SELECT over known names.
        """
        try:
            return await self._on_live(partial(self._select, text, options, allowed))
        except EngineError as error:
            raise failure(error) from error

    async def _select(self, text: str, options: QueryOptions, allowed: Allowed, live: Live) -> Answer:
        began, parameters = time.perf_counter(), partial(self._bindings.parameters, live)
        own = await in_thread(prepare_own, live, text, options, allowed, self._secret, parameters)
        try:
            await in_thread(self._judge, live, own.composed, own.options, own.tree)
            await self._stand_alone(live, own)
            rendered = time.perf_counter() - began
            settings, _ = split_cache(self._settings_of(live, own.bound, own.options))
            result = await self._run(own.bound, own.options, settings, own.options.caller)
            return Answer(result, rendered=rendered)
        except EngineError as error:
            error.message = hide_secrets(error.message, own.bound.params)
            raise

    async def _stand_alone(self, live: Live, own: Own) -> None:
        """Refuse pipes that do not work on their own: the caller's SQL could supply the names that they lack."""
        known = self._bindings.memory(live).alone
        pipes = [inner.text for inner in own.composed.tables.values() if isinstance(inner, Composition)]
        if all(text in known for text in pipes):
            return
        asked = self._settings_of(live, BoundSQL("", {}, {}), own.options)
        settings = {name: value for name, value in asked.items() if name not in RESULT_LIMITS}  # of columns
        for text in pipes:
            if text not in known:
                statement = explained(within_limits(text, limits_of(settings)), "DESCRIBE")  # it runs sub-queries
                try:
                    await self._limiter.run(statement, own.bound.params, "Null", settings, self._owner)
                except EngineError:
                    if not own.options.is_limited:
                        raise
                    message = "A pipe that this query reads does not work by itself."  # why may tell of other rows
                    raise ClickpipeError(message, code="not_allowed") from None
                known[text] = True

    async def count(self, table: str, condition: str) -> int:
        """Count the rows of a physical table that match a composed condition. Raises ClickpipeError 429, 400."""
        statement = f"SELECT count() FROM {table} WHERE (\n{condition}\n)"
        try:
            result = await self._limiter.run(statement, {}, "JSONCompact", self._settings, self._owner)
        except EngineError as error:
            raise failure(error) from error
        return int(json.loads(result.body)["data"][0][0])

    # Steps of both

    def _judge(self, live: Live, composed: Composition, options: QueryOptions, tree: str = "") -> str:
        require_hidden(live, composed, options)
        tree = judge(self._engine, live, composed, tree=tree)
        if any(table in composed.text for table in live.service.values()):
            self._prepare()
        return tree

    def _settings_of(self, live: Live, bound: BoundSQL, options: QueryOptions) -> Settings:
        if not (bound.settings or options.settings or options.limits or options.filters):
            return self._settings
        if not options.is_limited:
            return bounded(self._settings, bound.settings, options.settings, options.limit_settings())
        asked = without_guesses(options.settings)
        settings = bounded(self._settings, bound.settings, asked, without_guesses(options.limit_settings()))
        return {**settings, **self._bindings.memory(live).filter_settings(self._engine, options.filters)}

    async def _run(
        self, bound: BoundSQL, options: QueryOptions, settings: Settings, caller: Hashable = None
    ) -> QueryResult:
        """Run a query when its turn comes; `caller` is the token if it is its own SQL.

        Raises ClickpipeError 429, and EngineError without secrets and rows.
        """
        text = within_limits(bound.text, limits_of(settings))
        text = explained(text, options.explain) if options.explain else text
        hide = partial(_shown, bound.params, limited=options.is_limited)
        try:
            result = await self._limiter.run(
                text, bound.params, options.output.clickhouse, settings, self._owner, caller
            )
        except EngineError as error:
            error.message = hide(error)
            raise
        return hiding(own_rows(result, text) if options.is_limited else result, hide)


def _shown(params: Mapping[str, Any], error: EngineError, *, limited: bool) -> str:
    """Return an error's message without secrets, and without what a caller limited to some rows must not know."""
    if secrets_of(params):
        error.message = hide_secrets(error.message, params)
    return hide_rows(error) if limited else error.message
