"""Tokens and scopes: who may do what."""

from clickpipe.auth.scopes import ADMIN, SCOPES, allows, forbidden, parse_scope, require
from clickpipe.auth.tokens import ADMIN_TOKEN, TokenIndex, ensure_admin_token, reconcile

__all__ = [
    "ADMIN",
    "ADMIN_TOKEN",
    "SCOPES",
    "TokenIndex",
    "allows",
    "ensure_admin_token",
    "forbidden",
    "parse_scope",
    "reconcile",
    "require",
]
