"""The base class of errors caused by callers. Any other exception is a bug."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from clickpipe.diagnostics.model import Diagnostic, Sources
from clickpipe.diagnostics.suggest import did_you_mean

DOCS = "https://github.com/clickpipe/clickpipe/blob/main/docs/"


class ClickpipeError(Exception):
    """A caller's mistake, with a message that can be shown, an HTTP status and a machine-readable code.

    `status` is the HTTP status of the response (those that published clients expect); `code` identifies the kind of
    mistake; `documentation` is a URL with more information; `payload` replaces the `error` text in the JSON body when
    the author of a pipe wants an object there (`custom_error`); `headers` are added to the response.
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
    """A name that a workspace does not have; `known` are (kind, name) pairs of those that it has.

    The message itself suggests none of them: callers may only learn names that they have access to (`suggesting`).
    """

    def __init__(self, message: str, name: str, known: Iterable[tuple[str, str]], *, status: int, code: str) -> None:
        """Keep the names; kinds are those of scopes, `DATASOURCES` and `PIPES`."""
        super().__init__(message, status=status, code=code)
        self._name = name
        self._known = tuple(known)

    def suggesting(self, may_know: Callable[[str, str], bool]) -> UnknownResource:
        """Return the error with the most similar name among those that its caller may know."""
        hint = did_you_mean(self._name, (name for kind, name in self._known if may_know(kind, name)))
        message = self.message + (f": {hint}" if hint else "")
        return UnknownResource(message, self._name, (), status=self.status, code=self.code)


class ProjectError(ClickpipeError):
    """A project that does not compile, with all diagnostics and the texts they refer to."""

    def __init__(self, diagnostics: Sequence[Diagnostic], sources: Sources) -> None:
        """Use the first error and the number of others as the message."""
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
