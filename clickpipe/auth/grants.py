"""Parses what a token is granted: texts (`DATASOURCES:READ:events:country = 'ES'`) and JSON objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clickpipe.auth.scopes import ADMIN, parse_scope
from clickpipe.catalog import Token
from clickpipe.diagnostics import ClickpipeError

FixedParams = Mapping[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class Grant:
    """One scope. `filter` is a condition on the rows of a data source; `fixed_params` are a pipe's parameters."""

    type: str
    resource: str = ""
    filter: str = ""
    fixed_params: FixedParams = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the scope as text, without its filter."""
        return f"{self.type}:{self.resource}" if self.resource else self.type


@dataclass(frozen=True, slots=True)
class Granted:
    """Everything a token is granted, as stored in the catalog."""

    scopes: tuple[str, ...]
    filters: Mapping[str, str]
    fixed_params: Mapping[str, FixedParams]


def grant_of_text(text: str) -> Grant:
    """Parse a grant from text. Raises ClickpipeError 400."""
    scope, rest = parse_scope(text.strip())
    resource, _, condition = rest.partition(":")
    if condition.strip() and scope != "DATASOURCES:READ":
        message = f"A filter ('{condition.strip()[:100]}') goes with DATASOURCES:READ, not with {scope}."
        raise ClickpipeError(message, code="bad_scope")
    return Grant(scope, resource, condition.strip())


def grant_of_object(given: Any) -> Grant:
    """Parse a grant from `{"type", "resource", "filter", "fixed_params"}`. Raises ClickpipeError 400."""
    if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
        message = 'A scope is an object like {"type": "PIPES:READ", "resource": "top_pages"}.'
        raise ClickpipeError(message, code="bad_scope")
    parts = [given["type"], given.get("resource"), given.get("filter")]
    if not all(part is None or isinstance(part, str) for part in parts):
        message = "'resource' and 'filter' of a scope are texts."
        raise ClickpipeError(message, code="bad_scope")
    found = grant_of_text(":".join(part for part in parts if part))
    fixed = given.get("fixed_params")
    fixed = {} if fixed is None else fixed
    if not isinstance(fixed, Mapping) or (fixed and (found.type != "PIPES:READ" or not found.resource)):
        message = "'fixed_params' is an object, and goes with PIPES:READ of one pipe."
        raise ClickpipeError(message, code="bad_scope")
    return Grant(found.type, found.resource, found.filter, {name: _text(value) for name, value in fixed.items()})


def _text(value: Any) -> str | list[str]:
    """Return a value as it would be in a query string."""
    if isinstance(value, list):
        return [str(_text(item)) for item in value]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def collect(grants: Sequence[Grant]) -> Granted:
    """Combine grants: rows allowed by any filter can be read, and all fixed parameters apply.

    Raises ClickpipeError 400 if two grants fix a parameter of a pipe to different values.
    """
    scopes = tuple(dict.fromkeys(g.text for g in grants))
    filters: dict[str, list[str]] = {}
    fixed: dict[str, dict[str, str | list[str]]] = {}
    for grant in grants:
        if grant.type == "DATASOURCES:READ" and grant.resource:
            filters.setdefault(grant.resource, []).append(grant.filter)
        for name, value in grant.fixed_params.items():
            if fixed.setdefault(grant.resource, {}).setdefault(name, value) != value:
                message = f"The parameter '{name}' of '{grant.resource}' is fixed to two values."
                raise ClickpipeError(message, code="bad_scope")
    unfiltered = not {ADMIN, "WORKSPACE:READ_ALL", "DATASOURCES:READ"}.isdisjoint(scopes)
    kept = {name: conditions for name, conditions in filters.items() if all(conditions) and not unfiltered}
    return Granted(scopes, {name: _any_of(conditions) for name, conditions in kept.items()}, fixed)


def _any_of(conditions: Sequence[str]) -> str:
    one = list(dict.fromkeys(conditions))
    return one[0] if len(one) == 1 else " OR ".join(f"({condition}\n)" for condition in one)  # a comment may end it


def scope_objects(token: Token) -> list[dict[str, Any]]:
    """Return a token's scopes as the tokens API shows them."""
    found: list[dict[str, Any]] = []
    for text in token.scopes:
        scope, resource = parse_scope(text)
        shown: dict[str, Any] = {"type": scope}
        if resource:
            shown["resource"] = resource
        if scope == "DATASOURCES:READ" and resource in token.filters:
            shown["filter"] = token.filters[resource]
        if scope == "PIPES:READ" and resource in token.fixed_params:
            shown["fixed_params"] = token.fixed_params[resource]
        found.append(shown)
    return found
