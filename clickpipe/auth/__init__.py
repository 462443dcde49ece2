"""Tokens and scopes: who may do what, and how often."""

from clickpipe.auth.coverage import broken, require_known, uncovered
from clickpipe.auth.grants import Grant, Granted, collect, grant_of_object, grant_of_text, scope_objects
from clickpipe.auth.jwts import is_jwt
from clickpipe.auth.limits import LIMITS, limits_of
from clickpipe.auth.logins import Logins
from clickpipe.auth.rates import RateLimit
from clickpipe.auth.scopes import ADMIN, SCOPES, allows, forbidden, keeps, may_know, parse_scope, require
from clickpipe.auth.tokens import (
    ADMIN_TOKEN,
    LOCAL_TOKEN,
    TokenIndex,
    ensure_admin_token,
    keep_local_token,
    reconcile,
)

__all__ = [
    "ADMIN",
    "ADMIN_TOKEN",
    "LIMITS",
    "LOCAL_TOKEN",
    "SCOPES",
    "Grant",
    "Granted",
    "Logins",
    "RateLimit",
    "TokenIndex",
    "allows",
    "broken",
    "collect",
    "ensure_admin_token",
    "forbidden",
    "grant_of_object",
    "grant_of_text",
    "is_jwt",
    "keep_local_token",
    "keeps",
    "limits_of",
    "may_know",
    "parse_scope",
    "reconcile",
    "require",
    "require_known",
    "scope_objects",
    "uncovered",
]
