"""Requests to results: endpoints and ad-hoc SELECTs, the engine's bytes passed through."""

from clickpipe.query.conditions import compose_condition
from clickpipe.query.formats import FORMATS, OutputFormat, split_format_clause
from clickpipe.query.run import QueryLimits, QueryRunner, failure, hide_secrets, judge

__all__ = [
    "FORMATS",
    "OutputFormat",
    "QueryLimits",
    "QueryRunner",
    "compose_condition",
    "failure",
    "hide_secrets",
    "judge",
    "split_format_clause",
]
