"""Parses a caller's own SQL and checks it against what the caller may read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from clickpipe.catalog import Live
from clickpipe.compiler import Composer
from clickpipe.diagnostics import ClickpipeError, Span, UnknownResource, Word
from clickpipe.project import Pipe
from clickpipe.query.client_settings import meaning
from clickpipe.query.filtered import read_within
from clickpipe.query.options import QueryOptions
from clickpipe.query.refusals import secrets_of
from clickpipe.sql import Composition, Syntax, TableReference, Use, likely, may_fail
from clickpipe.template import SECRET_NAMES, Binder, Names, Secrets, compile_template

Allowed = Callable[[str, str], None]
_MOST_WORDS = 20_000  # in the tags of a caller's template: about a second's work


def pipeline_of(live: Live, name: str, allowed: Allowed) -> Pipe | None:
    """Return the pipe that a query runs over, or None. Raises ClickpipeError 404, and what `allowed` raises."""
    if not name:
        return None
    pipe = live.compiled.project.pipes.get(name)
    if pipe is None:
        known = [("PIPES", pipe) for pipe in live.compiled.project.pipes]
        raise UnknownResource(f"The pipe '{name}' does not exist", name, known, status=404, code="not_found")
    allowed("PIPES", name)
    return pipe


class _Any(Collection[str]):
    """Contains every name: names in a caller's template are quoted and then checked like the rest of its SQL.

    Refusing unknown names here would reveal which names the project has.
    """

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _OwnNames:
    """Names that a template may use: any in the caller's own; inside pipes, what their own templates may."""

    columns = tables = listed = _Any()

    def __init__(self, live: Live) -> None:
        self._compiled = live.compiled
        self.any_enum = live.compiled.known_names.any_enum

    def inside(self, pipe: str) -> Names:
        """Return the names that a pipe's templates may use."""
        return self._compiled.known_names.of(self._compiled.project.pipes[pipe])


def render_own(live: Live, text: str, values: Mapping[str, Any]) -> tuple[str, Binder]:
    """Return the SQL of a caller's text, which may be a template, and its parameters. Raises ClickpipeError."""
    binder = Binder(_OwnNames(live))  # without secrets, as this is the caller's SQL
    program, diagnostics = compile_template(Word(text, Span("query", 0, len(text))), most=_MOST_WORDS)
    if program is None:
        raise ClickpipeError(f"Template Syntax Error: {diagnostics[0].message}", code="template_error")
    return program.render(values, binder), binder


def read_own(live: Live, rendered: str, options: QueryOptions) -> tuple[Syntax, dict[str, str]]:
    """Return a caller's SQL as ClickHouse parses it, and the tree of its likely composed text: text → tree.

    Parsing both in one query is faster. Raises ClickpipeError if ClickHouse cannot parse it.
    """
    composed = _likely_composed(live, rendered, options)
    syntax, tree = live.compiled.reader.read_both(rendered, composed)
    ahead = {composed: tree} if tree else {}
    if isinstance(syntax, Syntax) and not syntax.unplaced:
        if syntax.lambdas:
            message = f"A lambda cannot have a name here: '{min(syntax.lambdas)}'."
            raise ClickpipeError(message, code="not_allowed")
        return syntax, ahead
    composer = Composer(live.compiled.project, live.compiled.reader, live.table)
    return composer.text(rendered, None, None, {}, Binder()).syntax, ahead  # raises, and explains the error


def _likely_composed(live: Live, rendered: str, options: QueryOptions) -> str:
    """Return the text that a SELECT over data sources will be composed to, guessed from its words; '' if unclear."""
    sources = live.compiled.data_sources
    syntax = likely(rendered, lambda name: name in sources and live.table(name) is not None)
    if syntax is None or options.pipeline:
        return ""
    composer = Composer(live.compiled.project, live.compiled.reader, live.table)
    return composer.text(syntax, None, None, {}, Binder(), _filtered(live, options)).text


def _filtered(live: Live, options: QueryOptions) -> Collection[str] | None:
    """Return the data sources that a limited caller's SQL must read in sub-queries; None for other callers."""
    return {live.compiled.project.canonical(name) for name in options.filters} if options.is_limited else None


def authorise(live: Live, syntax: Syntax, pipe: Pipe | None, options: QueryOptions, allowed: Allowed) -> list[str]:
    """Call `allowed` for everything that a caller's SQL names; return those names. Raises what `allowed` raises."""
    asked = []
    for table in syntax.tables:
        if table.full_name in live.service:
            allowed("SERVICE", table.name)
        elif table.database and table.full_name not in live.compiled.data_sources:
            continue  # the SQL check refuses it later
        elif _authorise(live, table, pipe, allowed):
            _refuse_unfiltered(live, table, options)
        else:
            continue
        asked.append(live.compiled.project.canonical(table.full_name))
    return asked


def require_asked(live: Live, composed: Composition, asked: Collection[str]) -> None:
    """Raise ClickpipeError 403 if any table was put in that `authorise` was not asked about."""
    for table in composed.tables:
        if live.compiled.project.canonical(table.full_name) not in asked:
            message = f"'{table.full_name}' cannot be read here."
            raise ClickpipeError(message, status=403, code="forbidden")


def _authorise(live: Live, table: TableReference, pipe: Pipe | None, allowed: Allowed) -> bool:
    """Authorise a name, resolved as `Composer` does; return False if it is nothing in the project."""
    name = live.compiled.project.canonical(table.full_name)
    node = pipe.node(table.full_name) if pipe is not None else None
    if pipe is not None and (table.full_name == "_" or node is pipe.output):
        return True  # `pipeline_of` asked for it
    if node is not None:
        allowed("SERVICE", table.full_name)  # for those who may read everything: it may have hidden rows
    elif name in live.compiled.project.pipes:
        allowed("PIPES", name)
    elif live.table(name) is not None:
        allowed("DATASOURCES", live.source_of(name))
    elif table.use is Use.IN:
        return False  # a column, or nothing: left to ClickHouse
    else:
        known = [("DATASOURCES", source) for source in live.compiled.data_sources]
        known += [("PIPES", pipe) for pipe in live.compiled.project.pipes]
        raise UnknownResource(f"Resource '{table.full_name}' not found", name, known, status=400, code="not_found")
    return True


def composer_of(
    live: Live, text: str, pipe: Pipe | None, options: QueryOptions, secret: Secrets, apart: Collection[str] | None
) -> Composer:
    """Return the composer for a caller's SQL and its pipes. Raises ClickpipeError if the SQL cannot be parsed."""
    project, reader = live.compiled.project, live.compiled.reader
    plain = Composer(project, reader, live.table)
    if not options.filters:
        return plain
    tried = plain.text(text, pipe, None, options.values, Binder(_OwnNames(live), secret), apart)
    return Composer(project, reader, live.table, read_within(live, tried, options.filters, own=True))


def read_by_themselves(
    live: Live, syntax: Syntax, pipe: Pipe | None, options: QueryOptions, allowed: Allowed
) -> Collection[str] | None:
    """Return the data sources to wrap in sub-queries for this caller, besides all pipes; None to wrap nothing.

    A pipe may leave rows out, but ClickHouse evaluates a query's conditions before the pipe's own if that is cheaper:
    whether they fail would reveal hidden rows. So if conditions may fail, pipes are wrapped for everyone except those
    who may read everything.
    """
    if options.is_limited:
        return _filtered(live, options)
    named = {live.compiled.project.canonical(table.full_name) for table in syntax.tables} | (
        {pipe.name} if pipe is not None else set()
    )
    pipes = named & live.compiled.project.pipes.keys()
    if not pipes:
        return None
    if _sees_all(allowed):
        return None
    decimals, times = (any(_has(live, name, kind) for name in pipes) for kind in ("Decimal", "Date"))
    return frozenset() if may_fail(syntax.tree, decimals=decimals, times=times) else None


def as_meant(live: Live, named: Collection[str], options: QueryOptions, allowed: Allowed) -> QueryOptions:
    """Return options without settings that would change the meaning of pipes and filters.

    `named` is what the SQL reads. Callers who may read everything keep such settings. Raises ClickpipeError if the SQL
    itself contains one.
    """
    changing = meaning(options.settings)
    if not changing or not (options.is_limited or options.pipeline or live.compiled.project.pipes.keys() & named):
        return options
    if not options.is_limited and _sees_all(allowed):
        return options
    if refused := changing.intersection(options.said):
        message = f"The setting '{min(refused)}' would change what a pipe or a filter means: it is not allowed here."
        raise ClickpipeError(message, code="readonly")
    kept = {name: value for name, value in options.settings.items() if name not in changing}
    return replace(options, settings=kept)


def _sees_all(allowed: Allowed) -> bool:
    try:
        allowed("SERVICE", "")
    except ClickpipeError:
        return False
    return True


def _has(live: Live, pipe: str, kind: str) -> bool:
    """Return whether a pipe may have a column whose type contains `kind`."""
    endpoint = live.compiled.endpoints.get(pipe)
    return endpoint is None or any(kind in column.type for column in endpoint.columns)


def _refuse_unfiltered(live: Live, table: TableReference, options: QueryOptions) -> None:
    """Raise ClickpipeError 403 for reads that a filter does not cover."""
    name = live.compiled.project.canonical(table.full_name)
    if name in options.filters and table.use in {Use.TEXT, Use.NAME}:
        message = f"joinGet on '{name}' is not for a token that may read some of its rows only."
        raise ClickpipeError(message, status=403, code="forbidden")
    source = live.source_of(name)
    if source in options.filters and source != name:
        message = f"'{name}' is not for a token that may read some rows of '{source}' only."
        raise ClickpipeError(message, status=403, code="forbidden")


def require_plain(syntax: Syntax) -> None:
    """Raise ClickpipeError for clauses that read rows before the filter, or only a sample."""
    for key, word in (("prewhere", "PREWHERE is"), ("sample_size", "SAMPLE is")):
        if f'"{key}"' in syntax.tree:
            message = f"{word} not allowed to a token that may read some rows only: use WHERE."
            raise ClickpipeError(message, code="not_allowed")


def may_explain(options: QueryOptions, params: Mapping[str, Any], allowed: Allowed) -> None:
    """Raise unless a caller may see a query plan: it shows pipes' SQL, their values, and row filters."""
    allowed("SERVICE", "EXPLAIN")  # only for those who may read everything
    if options.is_limited or secrets_of(params):
        message = "EXPLAIN is not for a token that may read some rows only, nor for pipes that use secrets."
        raise ClickpipeError(message, status=403, code="forbidden")


def may_name_secrets(sql: str, own: Mapping[str, Any]) -> bool:
    """Return whether a caller's SQL may contain a secret's `{name:Type}` beyond its own parameters."""
    for name in own:
        sql = re.sub(rf"\{{{re.escape(name)}:[^{{}}]*\}}", "", sql)
    return "{" in sql and SECRET_NAMES in sql


def explained(sql: str, explain: str) -> str:
    """Return the statement that explains or describes a SELECT."""
    return f"DESCRIBE (\n{sql}\n)" if explain == "DESCRIBE" else f"{explain}\n{sql}"
