"""The one error base for what a caller did wrong. Anything else that is raised is a bug."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clickpipe.diagnostics.model import Diagnostic, Sources

DOCS = "https://github.com/clickpipe/clickpipe/blob/main/docs/"


class ClickpipeError(Exception):
    """A mistake of the caller's, fit to be shown: message, HTTP status, machine-readable code.

    `status` is the HTTP status a server answers with (`reference`: the statuses published clients
    expect); `code` names the kind of mistake; `documentation` is a URL to read on; `payload` replaces
    the `error` text in the JSON body when the author of a pipe wants an object there (`custom_error`); `headers` go
    with the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "bad_request",
        documentation: str = DOCS + "README.md",
        payload: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the parts; `str(error)` is the message."""
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.documentation = documentation
        self.payload = payload
        self.headers = headers or {}


class ProjectError(ClickpipeError):
    """A project that does not compile; carries every diagnostic and the texts they point into."""

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Sources) -> None:
        """Sum the errors up in the message; the diagnostics tell the rest."""
        errors = [d for d in diagnostics if d.severity == "error"]
        first = errors[0] if errors else diagnostics[0]
        where = sources.position(first.span)
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(
            f"{first.span.file}:{where.line}:{where.column}: {first.message}{more}",
            code="invalid_project",
            documentation=DOCS + "diagnostics.md",
        )
        self.diagnostics = tuple(diagnostics)
        self.sources = sources
