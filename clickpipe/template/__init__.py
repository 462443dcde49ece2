"""Compiles templated SQL to query programs with parameters and bound values. The only package that imports jinja2."""

from clickpipe.template.binding import SECRET_NAMES, Binder, BoundSQL
from clickpipe.template.branches import Sample, sample
from clickpipe.template.discover import Parameter, problem
from clickpipe.template.errors import AuthorError, MissingParameter, TemplateError
from clickpipe.template.moments import is_zero, odd_moment, out_of_range
from clickpipe.template.names import Names, NameSet
from clickpipe.template.program import Rendered, TemplateProgram, compile_template
from clickpipe.template.run import Secrets, no_secret
from clickpipe.template.types import SAMPLE_TEXT, agree
from clickpipe.template.values import ParamValue

__all__ = [
    "SAMPLE_TEXT",
    "SECRET_NAMES",
    "AuthorError",
    "Binder",
    "BoundSQL",
    "MissingParameter",
    "NameSet",
    "Names",
    "ParamValue",
    "Parameter",
    "Rendered",
    "Sample",
    "Secrets",
    "TemplateError",
    "TemplateProgram",
    "agree",
    "compile_template",
    "is_zero",
    "no_secret",
    "odd_moment",
    "out_of_range",
    "problem",
    "sample",
]
