"""Prepares a caller's own SELECT: parsed, authorised, composed with what it reads, and bound."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from clickpipe.catalog import Live
from clickpipe.diagnostics import ClickpipeError
from clickpipe.query.formats import require_length
from clickpipe.query.options import QueryOptions
from clickpipe.query.own_sql import (
    Allowed,
    as_meant,
    authorise,
    composer_of,
    may_explain,
    may_name_secrets,
    pipeline_of,
    read_by_themselves,
    read_own,
    render_own,
    require_asked,
    require_plain,
)
from clickpipe.query.refusals import refuse, secrets_of
from clickpipe.sql import Composition, check
from clickpipe.template import BoundSQL, Secrets


@dataclass(frozen=True, slots=True)
class Own:
    """A caller's SELECT: composed, bound, and with the options that hold for it; `tree` is its syntax tree or ''."""

    composed: Composition
    bound: BoundSQL
    options: QueryOptions
    tree: str


def prepare_own(
    live: Live,
    text: str,
    options: QueryOptions,
    allowed: Allowed,
    secret: Secrets,
    parameters: Callable[[str], Collection[str]],
) -> Own:
    """Return a caller's SELECT, ready to be judged and run.

    `allowed(kind, name)` raises for what the caller may not read, `secret` resolves `tb_secret` in pipes, and
    `parameters(pipe)` returns a pipe's parameters. Raises ClickpipeError, what `allowed` raises, and EngineError.
    """
    require_length(text)
    if not text.strip():
        message = "The query is empty."
        raise ClickpipeError(message, code="empty_query")
    pipe = pipeline_of(live, options.pipeline, allowed)
    rendered, binder = render_own(live, text, options.fixed_for(options.fixed_params).values)
    syntax, ahead = read_own(live, rendered, options)
    named = authorise(live, syntax, pipe, options, allowed)
    options = as_meant(live, named, options, allowed)
    options = options.fixed_for([options.pipeline, *named], parameters)
    own = dict(binder.params) | dict(options.bound)
    for name, value in options.bound.items():
        binder.params.setdefault(name, value)  # before pipes bind theirs, so that they choose other names
    binder.secret = secret  # for pipes only: their SQL is the project author's
    apart = read_by_themselves(live, syntax, pipe, options, allowed)
    composer = composer_of(live, rendered, pipe, options, secret, apart)
    composed = composer.text(rendered, pipe, None, options.values, binder, apart)
    require_asked(live, composed, named)
    if secrets_of(binder.params) and may_name_secrets(rendered, own):
        message = "Query parameters of your own ({name:Type}) are not allowed over pipes that use secrets."
        raise ClickpipeError(message, code="not_allowed")
    refuse(check(syntax.tree, {*live.service, *live.compiled.data_sources}, settings=False))
    if options.explain.startswith("EXPLAIN"):
        may_explain(options, binder.params, allowed)
    if options.filters:
        require_plain(syntax)
    bound = BoundSQL(composed.text, binder.params, binder.settings)
    return Own(composed, bound, options, ahead.get(composed.text, ""))
