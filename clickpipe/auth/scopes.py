"""What a token may do."""

from __future__ import annotations

from clickpipe.catalog import Token
from clickpipe.diagnostics import ClickpipeError

ADMIN = "ADMIN"
SCOPES = (
    ADMIN,
    "TOKENS",
    "WORKSPACE:READ_ALL",
    "WORKSPACE:DEPLOY",
    "DATASOURCES:CREATE",
    "DATASOURCES:READ",
    "DATASOURCES:APPEND",
    "DATASOURCES:DROP",
    "PIPES:CREATE",
    "PIPES:READ",
    "PIPES:DROP",
)
_READS = {"DATASOURCES:READ", "PIPES:READ"}


def forbidden(message: str) -> ClickpipeError:
    """Return the error for a missing, unknown or insufficient token (403, as published clients expect)."""
    return ClickpipeError(message, status=403, code="forbidden")


def allows(token: Token, scope: str, resource: str = "") -> bool:
    """Return whether a token has a scope, for this resource or for all of its kind."""
    granted = token.scopes
    if ADMIN in granted or scope in granted or (resource and f"{scope}:{resource}" in granted):
        return True
    return scope in _READS and "WORKSPACE:READ_ALL" in granted


def keeps(before: Token, now: Token) -> bool:
    """Return whether a token may still do everything that it could before, and sees the same rows."""
    same = before.filters == now.filters and before.fixed_params == now.fixed_params
    return same and set(before.scopes) <= set(now.scopes)


def may_know(token: Token, kind: str, name: str) -> bool:
    """Return whether a token may know that a data source (`DATASOURCES`) or pipe (`PIPES`) exists."""
    verbs = ("READ", "APPEND", "CREATE", "DROP")
    return "WORKSPACE:DEPLOY" in token.scopes or any(allows(token, f"{kind}:{verb}", name) for verb in verbs)


def require(token: Token, scope: str, resource: str = "", given: str = "") -> None:
    """Raise ClickpipeError 403 unless the token has the scope; `given` is the caller's name for the resource.

    The message uses only that name, to reveal no other.
    """
    if allows(token, scope, resource):
        return
    about = f" on '{given or resource}'" if resource else ""
    message = f"The token '{token.name}' has not enough permissions: it needs the scope {scope}{about}."
    raise forbidden(message)


def parse_scope(text: str) -> tuple[str, str]:
    """Split text such as `PIPES:READ:top_pages` into scope and resource. Raises ClickpipeError if unknown."""
    for scope in sorted(SCOPES, key=len, reverse=True):
        if text == scope:
            return scope, ""
        if text.startswith(f"{scope}:") and text != f"{scope}:" and scope.startswith(("PIPES:", "DATASOURCES:")):
            return scope, text[len(scope) + 1 :]
    message = f"'{text}' is not a scope: the scopes are {', '.join(SCOPES)}"
    raise ClickpipeError(message, code="unknown_scope")
