"""Running queries for a caller: bind, compose, check, execute."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from clickpipe.catalog import Live, without_physical_names
from clickpipe.compiler import BoundQuery, QueryFunction, is_quick, parameters_read
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import Engine, EngineError, QueryResult, Settings, changing_functions
from clickpipe.query.answer import Answer, Started
from clickpipe.query.chained import behind, made_of, plain
from clickpipe.query.filtered import hide_rows, own_rows, require_hidden, without_guesses
from clickpipe.query.formats import format_named, require_length
from clickpipe.query.limiter import ConcurrencyLimiter, Running
from clickpipe.query.memory import Memory
from clickpipe.query.options import QueryLimits, QueryOptions, bounded, limits_of
from clickpipe.query.own_sql import (
    Allowed,
    as_meant,
    authorise,
    composer_of,
    explained,
    may_explain,
    may_name_secrets,
    pipeline_of,
    read_by_themselves,
    read_own,
    render_own,
    require_asked,
    require_plain,
)
from clickpipe.query.refusals import failure, hidden, hide_secrets, judge, refuse, secrets_of
from clickpipe.query.result_cache import Facts, ResultCache, facts_of, frozen, without_cache_settings
from clickpipe.sql import Composition, check, reads, within_limits
from clickpipe.template import BoundSQL, Secrets

_LONG = 10_000  # calls with more characters of values are not remembered
_FIRST_AT_ONCE = 8  # new SQL texts checked concurrently, per workspace


class QueryRunner:
    """Runs queries of one workspace. `live` is read on every query."""

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
        self._settings = (limits or QueryLimits()).settings()
        self._settings_key = frozen(self._settings)
        self._memory: Memory | None = None
        self._first_queries = ThreadPoolExecutor(_FIRST_AT_ONCE, thread_name_prefix="first-query")

    def live(self) -> Live:
        """Return the live deployment. Raises ClickpipeError 404 before the first deployment."""
        live = self._live()
        if live is None:
            message = "Nothing is deployed in this workspace yet. Deploy a project with `clickpipe deploy`."
            raise ClickpipeError(message, status=404, code="not_deployed")
        return live

    def _of(self, live: Live) -> Memory:
        """Return the memory for a deployment; a promotion starts an empty one."""
        memory = self._memory
        if memory is None or memory.live is not live:
            memory = self._memory = Memory(live)
        return memory

    def endpoint(self, name: str, options: QueryOptions, known: str = "") -> Started:
        """Start an endpoint's query, unless its result is cached; `known` is the caller's If-None-Match.

        Raises ClickpipeError: 404 for an unknown endpoint, 400 for bad parameters. The future raises EngineError;
        `failure` turns it into the error for the caller.
        """
        live = self.live()
        options = options.fixed_for([name], partial(self._parameters, live)) if options.fixed_params else options
        bound = self._bound(live, name, options.values)
        facts = self._of(live).judged.get(bound.text)
        if facts is not None and not options.filters:
            return self._answer(live, bound, options, facts, known)
        judging = self._first_queries.submit(self._first, live, name, bound, options)
        return behind(judging, lambda found: self._answer(live, found[0], options, found[1], known))

    def _first(self, live: Live, name: str, bound: BoundQuery, options: QueryOptions) -> tuple[BoundQuery, Facts]:
        """Check a SQL text that is new: parameters decide which branches of a template it contains."""
        if options.filters and (within := self._of(live).read_within(bound.composed, options.filters)):
            bound = self._bind_endpoint(live, name, options.values, *within)
        judged = self._of(live).judged
        facts = judged.get(bound.text)
        if facts is None:
            tree = self._judge(live, bound.composed, options)
            facts = judged[bound.text] = facts_of(live, reads(tree, changing_functions(self._engine)))
        else:
            require_hidden(live, bound.composed, options)
        return bound, facts

    def _answer(self, live: Live, bound: BoundSQL, options: QueryOptions, facts: Facts, known: str) -> Started:
        settings, asked = without_cache_settings(self._settings_of(live, bound, options))
        run = partial(self._run, bound, options, settings)
        keep = asked or facts.keep
        if not self._cache.active or not (asked or facts.shared) or options.filters:
            return plain(run())  # a cache hit would reveal whether others wrote
        versions = self._engine.versions(facts.tables) if not asked else ()
        told = self._settings_key if settings is self._settings else frozen(settings)
        key = (bound.text, frozen(bound.params), options.output.clickhouse, told, tuple(versions), options.is_limited)
        return self._cache.answer(key, keep, known, run)

    def over_endpoint(self, name: str, sql: str, options: QueryOptions, allowed: Allowed) -> Future[Answer]:
        """Start a caller's SELECT over an endpoint's result, named `_`. Raises as `endpoint` and `sql` do."""
        self._function(self.live(), name)
        return self.sql(sql, replace(options, pipeline=name), allowed)

    def _bound(self, live: Live, name: str, values: Mapping[str, Any]) -> BoundQuery:
        """Return an endpoint's rendered and bound SQL, from memory if the values were seen before.

        Rendering is deterministic except for secrets, which may change and may decide branches: results that used one
        are not remembered.
        """
        memory, key = self._of(live).bound, (name, frozen(values))
        bound = memory.get(key)
        if bound is None:
            asked: list[str] = []
            bound = self._bind_endpoint(live, name, values, secret=partial(_noted, asked, self._secret))
            if not asked and len(str(values)) < _LONG:
                memory[key] = bound
        return bound

    def _bind_endpoint(
        self, live: Live, name: str, values: Mapping[str, Any], *within: str, secret: Secrets | None = None
    ) -> BoundQuery:
        return self._function(live, name).bind_to(live.table, values, secret or self._secret, within)

    def _parameters(self, live: Live, pipe: str) -> Collection[str]:
        """Return the parameters of a pipe and of the pipes that it reads."""
        known = self._of(live).parameters
        if pipe not in known:
            known[pipe] = parameters_read(live.compiled, pipe)
        return known[pipe]

    def is_quick(self, name: str, values: Mapping[str, Any]) -> bool:
        """Return whether rendering an endpoint's SQL is fast enough to do it on the event loop."""
        live = self.live()
        quick = self._of(live).quick
        known = quick.get(name)
        if known is None:
            known = quick[name] = name in live.compiled.endpoints and is_quick(live.compiled, name)
        return known and (not values or sum(map(len, values.values())) < _LONG)

    def _function(self, live: Live, name: str) -> QueryFunction:
        function = live.compiled.endpoints.get(name)
        if function is None:
            pipe = live.compiled.project.pipes.get(name)
            known = [("PIPES", endpoint) for endpoint in live.compiled.endpoints]
            message = f"The pipe '{name}' {'is not an endpoint' if pipe else 'does not exist'}"
            raise UnknownResource(message, name, known, status=404, code="not_found")
        return function

    def explain(self, name: str, options: QueryOptions) -> Future[list[str]]:
        """Start EXPLAIN of an endpoint's query; returns the plan's lines, including what indexes skip.

        Raises ClickpipeError as `endpoint` does, and 403 for callers with row filters.
        """
        live = self.live()
        if options.is_limited:
            message = "EXPLAIN is not for a token that may read some rows only: it counts parts and granules of all."
            raise ClickpipeError(message, status=403, code="forbidden")
        bound = self._bind_endpoint(live, name, options.fixed_for([name], partial(self._parameters, live)).values)
        self._judge(live, bound.composed, options)
        plan = replace(options, explain="EXPLAIN indexes = 1", output=format_named("TSVRaw"))
        running = self._run(bound, plan, self._settings)

        def lines(result: QueryResult) -> list[str]:
            text = hide_secrets(result.body.decode(errors="replace"), bound.params)
            return without_physical_names(text).rstrip("\n").split("\n")

        return made_of(running, lines)

    def count(self, table: str, condition: str) -> Future[int]:
        """Start counting the rows of a physical table that match a composed condition. Raises ClickpipeError 429."""
        statement = f"SELECT count() FROM {table} WHERE (\n{condition}\n)"
        running = self._limiter.submit(statement, {}, "JSONCompact", self._settings, self._owner)
        return made_of(running, lambda result: int(json.loads(result.body)["data"][0][0]))

    def sql(self, text: str, options: QueryOptions, allowed: Allowed) -> Future[Answer]:
        """Start a caller's own SELECT (a template if it starts with `%`).

        `allowed(kind, name)` is called for each data source (`DATASOURCES`), pipe (`PIPES`) and service data source
        (`SERVICE`) that the text names, and raises if the caller may not read it. Raises ClickpipeError unless the text
        is one read-only SELECT over known names.
        """
        live = self.live()
        require_length(text)
        if not text.strip():
            message = "The query is empty."
            raise ClickpipeError(message, code="empty_query")
        pipe = pipeline_of(live, options.pipeline, allowed)
        rendered, binder = render_own(live, text, options.fixed_for(options.fixed_params).values)
        syntax, ahead = read_own(live, rendered, options)
        named = authorise(live, syntax, pipe, options, allowed)
        options = as_meant(live, named, options, allowed)
        options = options.fixed_for([options.pipeline, *named], partial(self._parameters, live))
        own = dict(binder.params) | dict(options.bound)
        for name, value in options.bound.items():
            binder.params.setdefault(name, value)  # before pipes bind theirs, so that they choose other names
        binder.secret = self._secret  # for pipes only: their SQL is the project author's
        apart = read_by_themselves(live, syntax, pipe, options, allowed)
        composer = composer_of(live, rendered, pipe, options, self._secret, apart)
        composed = composer.text(rendered, pipe, None, options.values, binder, apart)
        require_asked(live, composed, named)
        if secrets_of(binder.params) and may_name_secrets(rendered, own):
            message = "Query parameters of your own ({name:Type}) are not allowed over pipes that use secrets."
            raise ClickpipeError(message, code="not_allowed")
        try:
            refuse(check(syntax.tree, {*live.service, *live.compiled.data_sources}, settings=False))
            if options.explain.startswith("EXPLAIN"):
                may_explain(options, binder.params, allowed)
            if options.filters:
                require_plain(syntax)
            self._judge(live, composed, options, ahead.get(composed.text, ""))
            self._stand_alone(live, composed, binder.params, options)
        except EngineError as error:
            error.message = hide_secrets(error.message, binder.params)
            raise failure(error) from None
        bound = BoundSQL(composed.text, binder.params, binder.settings)
        settings, _ = without_cache_settings(self._settings_of(live, bound, options))
        return plain(self._run(bound, options, settings, options.caller))

    def _judge(self, live: Live, composed: Composition, options: QueryOptions, tree: str = "") -> str:
        require_hidden(live, composed, options)
        tree = judge(self._engine, live, composed, tree=tree)
        if any(table in composed.text for table in live.service.values()):
            self._prepare()
        return tree

    def _stand_alone(self, live: Live, composed: Composition, params: Mapping[str, Any], options: QueryOptions) -> None:
        """Refuse pipes that do not work on their own: the caller's SQL could supply the names that they lack."""
        known = self._of(live).alone
        pipes = [inner.text for inner in composed.tables.values() if isinstance(inner, Composition)]
        if all(text in known for text in pipes):
            return
        asked = self._settings_of(live, BoundSQL("", {}, {}), options)
        settings = {name: value for name, value in asked.items() if not name.startswith("max_result_")}  # of columns
        for text in pipes:
            if text not in known:
                try:
                    statement = explained(within_limits(text, limits_of(settings)), "DESCRIBE")  # it runs sub-queries
                    self._limiter.submit(statement, params, "Null", settings, self._owner).future.result()
                except EngineError:
                    if not options.is_limited:
                        raise
                    message = "A pipe that this query reads does not work by itself."  # why may tell of other rows
                    raise ClickpipeError(message, code="not_allowed") from None
                known[text] = True

    def _settings_of(self, live: Live, bound: BoundSQL, options: QueryOptions) -> Settings:
        if not (bound.settings or options.settings or options.limits or options.filters):
            return self._settings
        if not options.is_limited:
            return bounded(self._settings, bound.settings, options.settings, options.limit_settings())
        asked = without_guesses(options.settings)
        settings = bounded(self._settings, bound.settings, asked, without_guesses(options.limit_settings()))
        return {**settings, **self._of(live).filter_settings(self._engine, options.filters)}

    def _run(self, bound: BoundSQL, options: QueryOptions, settings: Settings, caller: Hashable = None) -> Running:
        text = within_limits(bound.text, limits_of(settings))
        text = explained(text, options.explain) if options.explain else text
        running = self._limiter.submit(text, bound.params, options.output.clickhouse, settings, self._owner, caller)
        if secrets_of(bound.params):
            running = hidden(running, lambda error: hide_secrets(error.message, bound.params))
        return hidden(own_rows(running, text), hide_rows) if options.is_limited else running


def _noted(asked: list[str], secret: Secrets, name: str) -> str | None:
    """Return a secret, and record its name in `asked`."""
    asked.append(name)
    return secret(name)
