"""The one error base for what a caller did wrong. Anything else that is raised is a bug."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from clickpipe.diagnostics.model import Diagnostic, Sources
from clickpipe.diagnostics.suggest import did_you_mean

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


class UnknownResource(ClickpipeError):
    """A name that a workspace does not have; `known` are those that it has, each with its kind.

    The message suggests none of them: a name is told to those alone who may know it (`suggesting`).
    """

    def __init__(self, message: str, name: str, known: Iterable[tuple[str, str]], *, status: int, code: str) -> None:
        """Keep the names; kinds are those of scopes, `DATASOURCES` and `PIPES`."""
        super().__init__(message, status=status, code=code)
        self._name = name
        self._known = tuple(known)

    def suggesting(self, may_know: Callable[[str, str], bool]) -> UnknownResource:
        """Return the error with the nearest name of those that its caller may know, by kind and name."""
        hint = did_you_mean(self._name, (name for kind, name in self._known if may_know(kind, name)))
        message = self.message + (f": {hint}" if hint else "")
        return UnknownResource(message, self._name, (), status=self.status, code=self.code)


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
