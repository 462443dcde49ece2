"""Errors raised while a template runs, with the messages that Tinybird's clients know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from clickpipe.diagnostics import ClickpipeError
from clickpipe.diagnostics.errors import DOCS

TEMPLATE_DOCS = DOCS + "templates.md"
NO_HINTS: Mapping[str, str] = MappingProxyType({})


class TemplateError(ClickpipeError):
    """A template refused its parameters; status 400. `line` is the line of the template where it stopped, from 1."""

    def __init__(self, message: str) -> None:
        """Prefix the message as Tinybird does."""
        super().__init__(f"Template Syntax Error: {message}", code="template_error", documentation=TEMPLATE_DOCS)
        self.line = 1
        self.about = ""  # the refused value, to find it in the author's file


class MissingParameter(TemplateError):
    """A branch that ran needs the parameters `needed`, which were not given."""

    def __init__(self, names: Sequence[str], needed: Sequence[str] = (), takes: Mapping[str, str] = NO_HINTS) -> None:
        """List every missing parameter of the template, and what values those in `takes` take."""
        listed = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        super().__init__(
            f"Required parameter is not defined. Check the parameters {listed}. "
            "Please provide a value or set a default value in the pipe code."
            + "".join(f" The parameter '{name}' takes {takes[name]}." for name in names if name in takes)
        )
        self.names = tuple(names)
        self.needed = tuple(needed or names)


class MissingName(MissingParameter):
    """A parameter used by its bare name was not given; reported with Tinybird's message."""

    def __init__(self, name: str, message: str) -> None:
        """Report one parameter."""
        super().__init__([name])
        self.message = f"Template Syntax Error: {message}"
        self.args = (self.message,)


class AuthorError(ClickpipeError):
    """`error('…')` or `custom_error(…)` in a template: the author's own message and status."""

    def __init__(self, message: str, status: int = 400, payload: object = None) -> None:
        """Carry the message unchanged."""
        super().__init__(message, status=status, code="pipe_error", documentation=TEMPLATE_DOCS, payload=payload)
