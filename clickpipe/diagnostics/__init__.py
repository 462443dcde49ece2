"""Diagnostics (what is wrong, where in the text, how to fix it), and the base class of errors caused by users."""

from clickpipe.diagnostics.codes import CODES, CodeInfo
from clickpipe.diagnostics.controls import indented, one_line
from clickpipe.diagnostics.errors import ClickpipeError, ProjectError, UnknownResource
from clickpipe.diagnostics.junit import render_junit
from clickpipe.diagnostics.model import Diagnostic, Related, Severity, Sources, Span, Word, has_errors, sort_diagnostics
from clickpipe.diagnostics.redaction import redact, redact_parameters, redact_query
from clickpipe.diagnostics.render import as_dict, from_dict, render_github, render_json, render_text
from clickpipe.diagnostics.suggest import did_you_mean
from clickpipe.diagnostics.summary import MISSING, counts, merge_missing

__all__ = [
    "CODES",
    "MISSING",
    "ClickpipeError",
    "CodeInfo",
    "Diagnostic",
    "ProjectError",
    "Related",
    "Severity",
    "Sources",
    "Span",
    "UnknownResource",
    "Word",
    "as_dict",
    "counts",
    "did_you_mean",
    "from_dict",
    "has_errors",
    "indented",
    "merge_missing",
    "one_line",
    "redact",
    "redact_parameters",
    "redact_query",
    "render_github",
    "render_json",
    "render_junit",
    "render_text",
    "sort_diagnostics",
]
