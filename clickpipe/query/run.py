"""Running queries for a caller: bind, compose, check, execute."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import BoundQuery, Composer, QueryFunction, is_quick, parameters_read
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError, Span, Word, did_you_mean
from clickpipe.engine import Engine, EngineError, QueryResult, Settings
from clickpipe.project import Pipe
from clickpipe.query.answers import (
    Answer,
    Answers,
    Facts,
    Started,
    facts_of,
    frozen,
    key_of,
    plain,
    without_cache_settings,
)
from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import require_length
from clickpipe.query.gate import QueryGate, Running
from clickpipe.query.options import QueryLimits, QueryOptions, bounded
from clickpipe.query.refusals import failure, hide_secrets, judge, refuse, secrets_of, without_names
from clickpipe.sql import Composition, Syntax, TableReference, Use, check, reads
from clickpipe.template import SECRET_NAMES, Binder, BoundSQL, Secrets, compile_template

Allowed = Callable[[str, str], None]

_JUDGED_TEXTS = 10_000
_CALLS, _LONG = 1_000, 10_000  # calls whose bound SQL is remembered, and characters of values from which on it is not
_changing: frozenset[str] | None = None
_FIRST_QUERIES = ThreadPoolExecutor(8, thread_name_prefix="first-query")


class QueryRunner:
    """Answers queries of one workspace. `live` is asked anew for each."""

    def __init__(
        self,
        engine: Engine,
        live: Callable[[], Live | None],
        limits: QueryLimits | None = None,
        prepare: Callable[[], None] = lambda: None,
        answers: Answers | None = None,
        gate: QueryGate | None = None,
        secret: Secrets = environment_secret,
    ) -> None:
        """Run on `engine`; `prepare` makes the tables of service data sources, before a query that reads one.

        `answers` keeps results of endpoints, `gate` bounds how many queries run, `secret` is what `tb_secret` asks.
        """
        self._gate = gate or QueryGate(engine, 4, 1_000)
        self._answers = answers or Answers(0)
        self._prepare = prepare
        self._secret = secret
        self._engine = engine
        self._live = live
        self._settings = (limits or QueryLimits()).settings()
        self._judged: dict[str, Facts] = {}
        self._alone: set[str] = set()
        self._memory: dict[Hashable, BoundQuery] = {}
        self._memory_of: Live | None = None
        self._quick_of: Live | None = None
        self._quick: dict[str, bool] = {}
        self._parameters_of: Live | None = None
        self._parameters_known: dict[str, Collection[str]] = {}

    def live(self) -> Live:
        """Return what the workspace answers from. Raises 404 before the first deployment."""
        live = self._live()
        if live is None:
            message = "Nothing is deployed in this workspace yet. Deploy a project with `clickpipe deploy`."
            raise ClickpipeError(message, status=404, code="not_deployed")
        return live

    def endpoint(self, name: str, options: QueryOptions, known: str = "") -> Started:
        """Start an endpoint's query, unless its result is kept; `known` are the ETags that the caller has.

        Raises ClickpipeError: 404 for an unknown endpoint, 400 for parameters. The future raises
        EngineError; `failure` turns it into what a caller is told.
        """
        live = self.live()
        options = options.fixed_for([name], partial(self._parameters, live)) if options.fixed_params else options
        bound = self._bound(live, name, options.values)
        facts = self._judged.get(bound.text)
        if facts is not None and not options.filters:
            return self._answer(live, bound, options, facts, known)
        return _FIRST_QUERIES.submit(self._first, live, bound, options, known)

    def _first(self, live: Live, bound: BoundQuery, options: QueryOptions, known: str) -> Answer:
        """Judge a text that was not seen before, then run it: which branches it holds depends on the parameters."""
        facts = facts_of(live, reads(self._judge(live, bound.composed), changing_functions(self._engine)))
        if len(self._judged) >= _JUDGED_TEXTS:
            self._judged.clear()
        self._judged[bound.text] = facts
        started = self._answer(live, bound, options, facts, known)
        return started if isinstance(started, Answer) else started.result()

    def _answer(self, live: Live, bound: BoundSQL, options: QueryOptions, facts: Facts, known: str) -> Started:
        settings, asked = without_cache_settings(self._settings_of(live, bound, options))
        run = partial(self._run, bound, options, settings)
        keep = asked or facts.keep
        if not self._answers.active or not (asked or facts.shared):
            return plain(run())
        versions = self._engine.versions(facts.tables) if not asked else ()
        key = key_of(bound.text, bound.params, options.output.clickhouse, settings, versions)
        return self._answers.answer(key, keep, known, run)

    def over_endpoint(self, name: str, sql: str, options: QueryOptions, allowed: Allowed) -> Future[Answer]:
        """Start a caller's SELECT over what an endpoint answers, which it calls `_`. Raises as `endpoint` and `sql`."""
        self._function(self.live(), name)
        return self.sql(sql, replace(options, pipeline=name), allowed)

    def _bound(self, live: Live, name: str, values: Mapping[str, Any]) -> BoundQuery:
        """Return what an endpoint's templates give, from memory where they were given the same values before.

        They give the same for the same; secrets may be changed, and are asked for each time.
        """
        if live is not self._memory_of or len(self._memory) >= _CALLS:
            self._memory_of, self._memory = live, {}
        memory, key = self._memory, (name, frozen(values))
        bound = memory.get(key)
        if bound is None:
            bound = self._bind_endpoint(live, name, values)
            if not secrets_of(bound.params) and len(str(values)) < _LONG:
                memory[key] = bound
        return bound

    def _bind_endpoint(self, live: Live, name: str, values: Mapping[str, Any]) -> BoundQuery:
        return self._function(live, name).bind_to(live.table, values, self._secret)

    def _parameters(self, live: Live, pipe: str) -> Collection[str]:
        """Return the parameters of a pipe and of what it reads, from memory as long as nothing else is live."""
        if live is not self._parameters_of:
            self._parameters_of, self._parameters_known = live, {}
        known = self._parameters_known
        if pipe not in known:
            known[pipe] = parameters_read(live.compiled, pipe)
        return known[pipe]

    def is_quick(self, name: str, values: Mapping[str, Any]) -> bool:
        """Tell whether an endpoint's SQL is made in no time: it may be, then, where nothing else runs meanwhile."""
        live = self.live()
        if live is not self._quick_of:
            self._quick_of, self._quick = live, {}
        known = self._quick.get(name)
        if known is None:
            known = self._quick[name] = name in live.compiled.endpoints and is_quick(live.compiled, name)
        return known and sum(len(value) for value in values.values()) < _LONG

    def _function(self, live: Live, name: str) -> QueryFunction:
        function = live.compiled.endpoints.get(name)
        if function is None:
            pipe = live.compiled.project.pipes.get(name)
            known = did_you_mean(name, live.compiled.endpoints)
            reason = "is not an endpoint" if pipe else "does not exist"
            message = f"The pipe '{name}' {reason}" + (f": {known}" if known else "")
            raise ClickpipeError(message, status=404, code="not_found")
        return function

    def explain(self, name: str, options: QueryOptions) -> list[str]:
        """Return ClickHouse's plan for an endpoint's query, line by line, with what indexes leave out.

        Raises ClickpipeError as `endpoint` does.
        """
        live = self.live()
        bound = self._bind_endpoint(live, name, options.fixed_for([name], partial(self._parameters, live)).values)
        self._judge(live, bound.composed)
        statement = f"EXPLAIN indexes = 1 {bound.text}"
        try:
            settings = self._filtered(live, options)
            body = self._engine.execute(statement, bound.params, output="TSVRaw", settings=settings).body.decode()
        except EngineError as error:
            error.message = hide_secrets(error.message, bound.params)
            raise failure(error) from None
        return without_names(hide_secrets(body, bound.params)).rstrip("\n").split("\n")

    def sql(self, text: str, options: QueryOptions, allowed: Allowed) -> Future[Answer]:
        """Start a caller's own SELECT (a template when it starts with `%`).

        `allowed(kind, name)` is called for each data source (`DATASOURCES`), pipe (`PIPES`) and service data source
        (`SERVICE`) the text names, and raises when the caller may not read it. Raises ClickpipeError for what is not
        one read-only SELECT over known names.
        """
        live = self.live()
        require_length(text)
        if not text.strip():
            message = "The query is empty."
            raise ClickpipeError(message, code="empty_query")
        pipe = self._pipeline(live, options.pipeline, allowed)
        rendered, binder = self._render(live, text, options.fixed_for(options.fixed_params).values)
        syntax = self._read(live, rendered)
        for table in syntax.tables:
            if table.full_name in live.service:
                allowed("SERVICE", table.name)
            elif not table.database or table.full_name in live.compiled.data_sources:
                self._authorise(live, table, pipe, allowed)
                _refuse_unfiltered(live, table, options)
        named = [options.pipeline, *(live.compiled.project.canonical(table.full_name) for table in syntax.tables)]
        options = options.fixed_for(named, partial(self._parameters, live))
        own = dict(binder.params) | dict(options.bound)
        for name, value in options.bound.items():
            binder.params.setdefault(name, value)  # before pipes bind theirs, which take other names then
        binder.secret = self._secret  # for the pipes that it reads: they are their author's
        composer = Composer(live.compiled.project, live.compiled.reader, live.table)
        composed = composer.text(rendered, pipe, None, options.values, binder)
        if secrets_of(binder.params) and _may_name_secrets(rendered, own):
            message = "Query parameters of your own ({name:Type}) are not allowed over pipes that use secrets."
            raise ClickpipeError(message, code="not_allowed")
        try:
            refuse(check(syntax.tree, {*live.service, *live.compiled.data_sources}, settings=False))
            if options.explain.startswith("EXPLAIN"):
                _may_explain(options, binder.params, allowed)
            if options.filters and '"prewhere"' in syntax.tree:
                message = "PREWHERE is not allowed to a token that may read some rows only: use WHERE."
                raise ClickpipeError(message, code="not_allowed")
            self._judge(live, composed)
            self._stand_alone(composed, binder.params)
        except EngineError as error:
            raise failure(error) from None
        bound = BoundSQL(composed.text, binder.params, binder.settings)
        settings, _ = without_cache_settings(self._settings_of(live, bound, options))
        return plain(self._run(bound, options, settings))

    def _pipeline(self, live: Live, name: str, allowed: Allowed) -> Pipe | None:
        if not name:
            return None
        pipe = live.compiled.project.pipes.get(name)
        if pipe is None:
            hint = did_you_mean(name, live.compiled.project.pipes)
            message = f"The pipe '{name}' does not exist" + (f": {hint}" if hint else "")
            raise ClickpipeError(message, status=404, code="not_found")
        allowed("PIPES", name)
        return pipe

    def _judge(self, live: Live, composed: Composition) -> str:
        tree = judge(self._engine, live, composed)
        if any(table in composed.text for table in live.service.values()):
            self._prepare()
        return tree

    def _render(self, live: Live, text: str, values: Mapping[str, Any]) -> tuple[str, Binder]:
        binder = Binder(live.compiled.known_names)  # no secrets: the SQL is the caller's own
        program, diagnostics = compile_template(Word(text, Span("query", 0, len(text))))
        if program is None:
            raise ClickpipeError(f"Template Syntax Error: {diagnostics[0].message}", code="template_error")
        return program.render(values, binder), binder

    def _read(self, live: Live, rendered: str) -> Syntax:
        """Return a caller's SQL as ClickHouse reads it. Raises ClickpipeError for what it cannot read."""
        syntax = live.compiled.reader.read(rendered)
        if isinstance(syntax, Syntax) and not syntax.unplaced:
            if syntax.lambdas:
                message = f"A lambda cannot have a name here: '{min(syntax.lambdas)}'."
                raise ClickpipeError(message, code="not_allowed")
            return syntax
        composer = Composer(live.compiled.project, live.compiled.reader, live.table)
        return composer.text(rendered, None, None, {}, Binder()).syntax  # it says what is wrong

    def _stand_alone(self, composed: Composition, params: Mapping[str, Any]) -> None:
        """Refuse pipes that do not work by themselves: names of the caller's would be taken for what they lack."""
        for inner in composed.tables.values():
            if isinstance(inner, Composition) and inner.text not in self._alone:
                self._engine.describe(inner.text, params)
                if len(self._alone) >= _JUDGED_TEXTS:
                    self._alone.clear()
                self._alone.add(inner.text)

    def _authorise(self, live: Live, table: TableReference, pipe: Pipe | None, allowed: Allowed) -> None:
        name = table.full_name
        if table.use is Use.IN and live.table(name) is None and name not in live.compiled.project.pipes:
            return  # a column, or nothing: ClickHouse tells
        if pipe is not None and (name == "_" or pipe.node(name) is not None):
            return  # `_pipeline` asked for it
        if name in live.compiled.project.pipes:
            allowed("PIPES", name)
        elif live.table(name) is not None:
            allowed("DATASOURCES", name.removesuffix("_quarantine"))
        else:
            known = [*live.compiled.data_sources, *live.compiled.project.pipes]
            hint = did_you_mean(name, known)
            message = f"Resource '{name}' not found" + (f": {hint}" if hint else "")
            raise ClickpipeError(message, code="not_found")

    def _filtered(self, live: Live, options: QueryOptions) -> Settings:
        """Return settings by which ClickHouse gives the rows only that a caller may read.

        It applies them where a table is read, before any condition of the query but PREWHERE, so that no error of a
        condition tells of other rows: conditions are not moved there. Raises ClickpipeError 400.
        """
        found: dict[str, str] = {}
        for name, condition in options.filters.items():
            table = live.physical.tables.get(name)
            if table is not None:
                found[table.replace("`", "")] = compose_condition(self._engine, live, condition)
        return {"additional_table_filters": found, "optimize_move_to_prewhere": 0} if found else {}

    def _settings_of(self, live: Live, bound: BoundSQL, options: QueryOptions) -> Settings:
        if not (bound.settings or options.settings or options.limits or options.filters):
            return self._settings
        settings = bounded(self._settings, bound.settings, options.settings, options.limit_settings())
        return {**settings, **self._filtered(live, options)} if options.filters else settings

    def _run(self, bound: BoundSQL, options: QueryOptions, settings: Settings) -> Running:
        text = _explained(bound.text, options.explain) if options.explain else bound.text
        running = self._gate.submit(text, bound.params, options.output.clickhouse, settings)
        return _without_secrets(running, bound) if secrets_of(bound.params) else running


def changing_functions(engine: Engine) -> frozenset[str]:
    """Return the functions, in lower case, that may give another value for the same arguments."""
    global _changing  # noqa: PLW0603 - the same for every engine of a process, and asked for once
    if _changing is None:
        body = engine.execute("SELECT lower(name) FROM system.functions WHERE deterministic = 0", output="TSV").body
        _changing = frozenset(body.decode().split())
    return _changing


def _explained(sql: str, explain: str) -> str:
    """Return the statement by which ClickHouse tells of a SELECT."""
    return f"DESCRIBE (\n{sql}\n)" if explain == "DESCRIBE" else f"{explain}\n{sql}"


def _may_explain(options: QueryOptions, params: Mapping[str, Any], allowed: Allowed) -> None:
    """Raise unless a caller may see a plan: it shows the SQL of pipes, their values, and filters of rows."""
    allowed("SERVICE", "EXPLAIN")  # as who may see the whole project
    if options.filters or secrets_of(params):
        message = "EXPLAIN is not for a token that may read some rows only, nor for pipes that use secrets."
        raise ClickpipeError(message, status=403, code="forbidden")


def _refuse_unfiltered(live: Live, table: TableReference, options: QueryOptions) -> None:
    """Refuse rows that a filter cannot judge."""
    name = table.full_name
    if name in options.filters and table.use in {Use.TEXT, Use.NAME}:
        message = f"joinGet on '{name}' is not for a token that may read some of its rows only."
        raise ClickpipeError(message, status=403, code="forbidden")
    source = name.removesuffix("_quarantine")
    if source in options.filters and name not in live.compiled.data_sources:
        message = f"'{name}' is not for a token that may read some rows of '{source}' only."
        raise ClickpipeError(message, status=403, code="forbidden")


def _may_name_secrets(sql: str, own: Mapping[str, Any]) -> bool:
    """Tell whether a caller's SQL may hold a `{name:Type}` that is none of its own parameters."""
    for name in own:
        sql = re.sub(rf"\{{{re.escape(name)}:[^{{}}]*\}}", "", sql)
    return "{" in sql and SECRET_NAMES in sql


def _without_secrets(running: Running, bound: BoundSQL) -> Running:
    """Return a query; its error without the secrets."""
    told: Future[QueryResult] = Future()

    def tell(done: Future[QueryResult]) -> None:
        if done.cancelled():
            told.cancel()
            return
        error = done.exception()
        if isinstance(error, EngineError):
            error.message = hide_secrets(error.message, bound.params)
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(done.result())

    running.future.add_done_callback(tell)
    return Running(told, running.cancel)
