"""What can go wrong while a template runs, with the texts that callers of the original know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from clickpipe.diagnostics import ClickpipeError
from clickpipe.diagnostics.errors import DOCS

TEMPLATE_DOCS = DOCS + "templates.md"
NO_HINTS: Mapping[str, str] = MappingProxyType({})


class TemplateError(ClickpipeError):
    """A template refused its parameters; status 400. `line` is the template's line where it stopped, from 1."""

    def __init__(self, message: str) -> None:
        """Prefix the message as the original does."""
        super().__init__(f"Template Syntax Error: {message}", code="template_error", documentation=TEMPLATE_DOCS)
        self.line = 1
        self.about = ""  # the text that was refused, where the author's file may hold it


class MissingParameter(TemplateError):
    """A branch that runs needs a parameter that was not given: `needed`."""

    def __init__(self, names: Sequence[str], needed: Sequence[str] = (), takes: Mapping[str, str] = NO_HINTS) -> None:
        """List every parameter of the template that is missing, and what those in `takes` take."""
        listed = " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        super().__init__(
            f"Required parameter is not defined. Check the parameters {listed}. "
            "Please provide a value or set a default value in the pipe code."
            + "".join(f" The parameter '{name}' takes {takes[name]}." for name in names if name in takes)
        )
        self.names = tuple(names)
        self.needed = tuple(needed or names)


class MissingName(MissingParameter):
    """A parameter that stands in a template by its name alone was not given; told in the original's words."""

    def __init__(self, name: str, message: str) -> None:
        """Ask for one parameter."""
        super().__init__([name])
        self.message = f"Template Syntax Error: {message}"
        self.args = (self.message,)


class AuthorError(ClickpipeError):
    """`error('…')` or `custom_error(…)` in a template: the author's own words and status."""

    def __init__(self, message: str, status: int = 400, payload: object = None) -> None:
        """Carry the text as it is."""
        super().__init__(message, status=status, code="pipe_error", documentation=TEMPLATE_DOCS, payload=payload)
