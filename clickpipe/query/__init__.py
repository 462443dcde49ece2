"""From requests to results: endpoints and ad-hoc SELECTs, passing the engine's bytes through unchanged."""

from clickpipe.query.answer import Answer
from clickpipe.query.client_settings import asked_settings, client_settings, split_settings
from clickpipe.query.clients import client_query, unknown_database
from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import (
    FORMATS,
    OUTPUT_SETTINGS,
    OutputFormat,
    format_named,
    format_names,
    split_format_clause,
)
from clickpipe.query.held import HeldResult, HeldResults
from clickpipe.query.limiter import ConcurrencyLimiter, Running
from clickpipe.query.options import QueryLimits, QueryOptions
from clickpipe.query.refusals import failure, hide_secrets, judge, shown_error, with_parameters
from clickpipe.query.result_cache import ResultCache
from clickpipe.query.service import QueryService
from clickpipe.query.shown import Shown
from clickpipe.query.statements import ClientQuery, canonical_database

__all__ = [
    "FORMATS",
    "OUTPUT_SETTINGS",
    "Answer",
    "ClientQuery",
    "ConcurrencyLimiter",
    "HeldResult",
    "HeldResults",
    "OutputFormat",
    "QueryLimits",
    "QueryOptions",
    "QueryService",
    "ResultCache",
    "Running",
    "Shown",
    "asked_settings",
    "canonical_database",
    "client_query",
    "client_settings",
    "compose_condition",
    "failure",
    "format_named",
    "format_names",
    "hide_secrets",
    "judge",
    "shown_error",
    "split_format_clause",
    "split_settings",
    "unknown_database",
    "with_parameters",
]
