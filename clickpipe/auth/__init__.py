"""Tokens and scopes: who may do what, and how often."""

from clickpipe.auth.grants import Grant, Granted, collect, grant_of_object, grant_of_text, scope_objects
from clickpipe.auth.jwts import is_jwt
from clickpipe.auth.limits import LIMITS, limits_of
from clickpipe.auth.rates import RateLimit
from clickpipe.auth.scopes import ADMIN, SCOPES, allows, forbidden, parse_scope, require
from clickpipe.auth.tokens import ADMIN_TOKEN, TokenIndex, ensure_admin_token, reconcile

__all__ = [
    "ADMIN",
    "ADMIN_TOKEN",
    "LIMITS",
    "SCOPES",
    "Grant",
    "Granted",
    "RateLimit",
    "TokenIndex",
    "allows",
    "collect",
    "ensure_admin_token",
    "forbidden",
    "grant_of_object",
    "grant_of_text",
    "is_jwt",
    "limits_of",
    "parse_scope",
    "reconcile",
    "require",
    "scope_objects",
]
