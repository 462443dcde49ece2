"""Running queries for a caller: bind, compose, check, execute."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer
from clickpipe.config import environment_secret
from clickpipe.diagnostics import ClickpipeError, Span, Word, did_you_mean
from clickpipe.engine import Engine, EngineError, QueryResult, Settings
from clickpipe.query.formats import OutputFormat
from clickpipe.sql import Refusal, check, references
from clickpipe.template import SECRET_NAMES, Binder, BoundSQL, compile_template

_STATUS = {"TIMEOUT_EXCEEDED": 408, "MEMORY_LIMIT_EXCEEDED": 413, "TOO_MANY_SIMULTANEOUS_QUERIES": 429}
_PHYSICAL = re.compile(r"`?ws_[0-9a-f]{16}`?\.`?(\w+?)_[0-9a-f]{12}`?")
_SCOPE = re.compile(r"[.:]?\s*(?:[Ii]n scope|While processing|while executing)\b.*$", re.DOTALL)
_JUDGED_TEXTS = 10_000
_FIRST_QUERIES = ThreadPoolExecutor(8, thread_name_prefix="first-query")


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds of one query; `threads` is 0 where ClickHouse decides."""

    max_seconds: int = 10
    threads: int = 0

    def settings(self) -> Settings:
        """Return them as ClickHouse settings."""
        threads = {"max_threads": self.threads} if self.threads else {}
        return {"max_execution_time": self.max_seconds, **threads}


class QueryRunner:
    """Answers queries of one workspace. `live` is asked anew for each."""

    def __init__(
        self,
        engine: Engine,
        live: Callable[[], Live | None],
        limits: QueryLimits | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        """Run on `engine`; `prepare` makes the tables of service data sources, before a query that reads one."""
        self._prepare = prepare
        self._engine = engine
        self._live = live
        self._settings = (limits or QueryLimits()).settings()
        self._judged: set[str] = set()

    def live(self) -> Live:
        """Return what the workspace answers from. Raises 404 before the first deployment."""
        live = self._live()
        if live is None:
            message = "Nothing is deployed in this workspace yet. Deploy a project with `clickpipe deploy`."
            raise ClickpipeError(message, status=404, code="not_deployed")
        return live

    def endpoint(self, name: str, values: Mapping[str, Any], output: OutputFormat) -> Future[QueryResult]:
        """Start an endpoint's query.

        Raises ClickpipeError: 404 for an unknown endpoint, 400 for parameters. The future raises
        EngineError; `failure` turns it into what a caller is told.
        """
        live = self.live()
        bound = self._bind_endpoint(live, name, values)
        if bound.text in self._judged:
            return self._submit(bound, output)
        return _FIRST_QUERIES.submit(self._first, live, bound, output)

    def _first(self, live: Live, bound: BoundSQL, output: OutputFormat) -> QueryResult:
        """Judge a text that was not seen before, then run it: which branches it holds depends on the parameters."""
        self._judge(live, bound.text)
        if len(self._judged) >= _JUDGED_TEXTS:
            self._judged.clear()
        self._judged.add(bound.text)
        return self._submit(bound, output).result()

    def _bind_endpoint(self, live: Live, name: str, values: Mapping[str, Any]) -> BoundSQL:
        function = live.compiled.endpoints.get(name)
        if function is None:
            pipe = live.compiled.project.pipes.get(name)
            known = did_you_mean(name, live.compiled.endpoints)
            reason = "is not an endpoint" if pipe else "does not exist"
            message = f"The pipe '{name}' {reason}" + (f": {known}" if known else "")
            raise ClickpipeError(message, status=404, code="not_found")
        return function.bind_to(live.table, values, environment_secret)

    def explain(self, name: str, values: Mapping[str, Any]) -> list[str]:
        """Return ClickHouse's plan for an endpoint's query, line by line, with what indexes leave out.

        Raises ClickpipeError as `endpoint` does.
        """
        live = self.live()
        bound = self._bind_endpoint(live, name, values)
        self._judge(live, bound.text)
        statement = f"EXPLAIN indexes = 1 {bound.text}"
        try:
            body = self._engine.execute(statement, bound.params, output="TSVRaw").body.decode()
        except EngineError as error:
            error.message = hide_secrets(error.message, bound.params)
            raise failure(error) from None
        return _PHYSICAL.sub(r"\1", hide_secrets(body, bound.params)).rstrip("\n").split("\n")

    def sql(self, text: str, output: OutputFormat, allowed: Callable[[str, str], None]) -> Future[QueryResult]:
        """Start a caller's own SELECT (a template when it starts with `%`).

        `allowed(kind, name)` is called for each data source (`DATASOURCES`), pipe (`PIPES`) and service data source
        (`SERVICE`) the text names, and raises when the caller may not read it. Raises ClickpipeError for what is not
        one read-only SELECT over known names.
        """
        live = self.live()
        if not text.strip():
            message = "The query is empty."
            raise ClickpipeError(message, code="empty_query")
        rendered, binder = self._render(live, text)
        for reference in references(rendered):
            if not reference.database:
                self._authorise(live, reference.name, allowed)
            elif f"{reference.database}.{reference.name}" in live.service:
                allowed("SERVICE", reference.name)
        sql = Composer(live.compiled.project, live.table).text(rendered, None, None, {}, binder)
        try:
            _refuse(check(self._engine.syntax_tree(rendered), live.service.keys(), settings=False))
            self._judge(live, sql)
        except EngineError as error:
            raise failure(error) from None
        return self._submit(BoundSQL(sql, binder.params, binder.settings), output)

    def _judge(self, live: Live, sql: str) -> None:
        judge(self._engine, live, sql)
        if any(table in sql for table in live.service.values()):
            self._prepare()

    def _render(self, live: Live, text: str) -> tuple[str, Binder]:
        binder = Binder(live.compiled.known_names)  # no secrets: the SQL is the caller's own
        program, diagnostics = compile_template(Word(text, Span("query", 0, len(text))))
        if program is None:
            raise ClickpipeError(f"Template Syntax Error: {diagnostics[0].message}", code="template_error")
        return program.render({}, binder), binder

    def _authorise(self, live: Live, name: str, allowed: Callable[[str, str], None]) -> None:
        if name in live.compiled.project.pipes:
            allowed("PIPES", name)
        elif live.table(name) is not None:
            allowed("DATASOURCES", name.removesuffix("_quarantine"))
        else:
            known = [*live.compiled.data_sources, *live.compiled.project.pipes]
            hint = did_you_mean(name, known)
            message = f"Resource '{name}' not found" + (f": {hint}" if hint else "")
            raise ClickpipeError(message, code="not_found")

    def _submit(self, bound: BoundSQL, output: OutputFormat) -> Future[QueryResult]:
        settings = {**self._settings, **bound.settings}
        running = self._engine.submit(bound.text, bound.params, output=output.clickhouse, settings=settings)
        return running if not _secrets(bound.params) else _withhide_secrets(running, bound)


def _secrets(params: Mapping[str, Any]) -> list[str]:
    return [str(value) for name, value in params.items() if name.startswith(SECRET_NAMES) and value]


def hide_secrets(text: str, params: Mapping[str, Any]) -> str:
    """Return what ClickHouse says with *** for each secret among the parameters: errors and plans show values."""
    for secret in _secrets(params):
        text = text.replace(secret, "***")
    return text


def _withhide_secrets(running: Future[QueryResult], bound: BoundSQL) -> Future[QueryResult]:
    """Return a query's result; its error without the secrets."""
    told: Future[QueryResult] = Future()

    def tell(done: Future[QueryResult]) -> None:
        error = done.exception()
        if isinstance(error, EngineError):
            error.message = hide_secrets(error.message, bound.params)
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(done.result())

    running.add_done_callback(tell)
    return told


def judge(engine: Engine, live: Live, sql: str, sources: Collection[str] = ()) -> None:
    """Raise ClickpipeError unless the text is one SELECT over the workspace's tables and the table functions `sources`.

    Raises EngineError.
    """
    tables = {table.replace("`", "") for table in (*live.physical.tables.values(), *live.service.values())}
    _refuse(check(engine.syntax_tree(sql), tables, sources=sources))


def _refuse(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise ClickpipeError(refusal.message, code="not_allowed")


def failure(error: EngineError) -> ClickpipeError:
    """Return what a caller is told of an engine's refusal: its message without physical names."""
    message = _PHYSICAL.sub(r"\1", _SCOPE.sub("", error.message)).strip()
    status = _STATUS.get(error.name, 400)
    return ClickpipeError(f"[Error] {message} ({error.name})", status=status, code=error.name.lower() or "engine_error")
