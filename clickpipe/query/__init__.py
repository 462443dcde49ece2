"""Requests to results: endpoints and ad-hoc SELECTs, the engine's bytes passed through."""

from clickpipe.query.answers import Answer, Answers, Started
from clickpipe.query.clients import client_sql
from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import FORMATS, OUTPUT_SETTINGS, OutputFormat, format_named, split_format_clause
from clickpipe.query.gate import QueryGate, Running
from clickpipe.query.options import QueryLimits, QueryOptions
from clickpipe.query.refusals import failure, hide_secrets, judge
from clickpipe.query.run import QueryRunner

__all__ = [
    "FORMATS",
    "OUTPUT_SETTINGS",
    "Answer",
    "Answers",
    "OutputFormat",
    "QueryGate",
    "QueryLimits",
    "QueryOptions",
    "QueryRunner",
    "Running",
    "Started",
    "client_sql",
    "compose_condition",
    "failure",
    "format_named",
    "hide_secrets",
    "judge",
    "split_format_clause",
]
