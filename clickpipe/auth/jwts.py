"""Creates and verifies signed tokens (JWT). Rules: published clients, docs/http-api.md#tokens.

HS256 is signed with the workspace's admin token (as published clients do) or the setting `jwt_signing_key`; RS256 and
ES256 with an identity provider's keys (`jwt_keys`). Tokens are not stored, only revocations.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from clickpipe.auth.grants import Grant, collect, grant_of_object
from clickpipe.auth.keysets import ALGORITHMS, KeySet
from clickpipe.auth.limits import limits_of
from clickpipe.auth.scopes import forbidden
from clickpipe.catalog import Token
from clickpipe.diagnostics import ClickpipeError

ALGORITHM = "HS256"
ALLOWED = frozenset({"PIPES:READ", "DATASOURCES:READ", "DATASOURCES:APPEND"})
_ODD = (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError)  # for claims of a wrong type
_FORBIDDEN = 403
_CLAIMS = ("workspace_id", "name", "exp", "scopes")


def is_jwt(value: str) -> bool:
    """Return whether a token's value looks like a signed one."""
    return value.count(".") == 2 and value.startswith("ey")  # noqa: PLR2004 - header, claims, signature


def signed_part(value: str) -> str:
    """Return the part that the signature covers. Unlike the signature, it has only one valid encoding."""
    return value.rpartition(".")[0]


def make(key: str, workspace_id: str, name: str, expires_at: float, scopes: Sequence[Any], limits: Any) -> str:
    """Return a signed token. Raises ClickpipeError 400 for claims that would make it invalid."""
    claims: dict[str, Any] = {
        "workspace_id": workspace_id,
        "name": name,
        "exp": int(expires_at),
        "iat": int(time.time()),
        "scopes": list(scopes),
        **({"limits": limits} if limits else {}),
    }
    if expires_at <= time.time():
        message = "'expiration_time' is in the past: it is seconds since 1970, like 1790000000."
        raise ClickpipeError(message, code="bad_expiration")
    _token(claims)
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def workspace_of(value: str) -> str:
    """Return the workspace that a signed token claims to be for, unverified. Raises ClickpipeError 403."""
    try:
        claims = jwt.decode(value, options={"verify_signature": False})
    except (jwt.PyJWTError, *_ODD):
        raise _invalid("it is not a JWT") from None
    found = claims.get("workspace_id")
    if not isinstance(found, str):
        raise _invalid("the claim 'workspace_id' is missing")
    return found


@dataclass(frozen=True, slots=True)
class Keys:
    """The accepted keys: secrets, and an identity provider's public keys with required issuer and audience."""

    secrets: Sequence[str]
    public: KeySet | None = None
    issuer: str = ""
    audience: str = ""


def read(value: str, keys: Keys) -> Token:
    """Verify a signed token with these keys and return it. Raises ClickpipeError 403."""
    try:
        header = jwt.get_unverified_header(value)
        if header.get("alg") not in {ALGORITHM, *ALGORITHMS}:
            raise _invalid("its algorithm ('alg') is none that is taken")
        if header["alg"] in ALGORITHMS and keys.public is not None:
            claims = _read_public(value, header, keys.public, keys)
        else:
            claims = _read_secret(value, keys.secrets)
        return _token(claims)
    except jwt.PyJWTError as error:
        raise _invalid(str(error)) from None
    except ClickpipeError as error:
        raise error if error.status == _FORBIDDEN else _invalid(error.message) from None
    except _ODD:
        raise _invalid("a claim is not of its type") from None


def _read_secret(value: str, secrets: Sequence[str]) -> Mapping[str, Any]:
    for key in secrets:
        claims = _decoded(value, key, ALGORITHM, "", "")
        if claims is not None:
            return claims
    raise _invalid("its signature is wrong")


def _read_public(value: str, header: Mapping[str, Any], public: KeySet, keys: Keys) -> Mapping[str, Any]:
    key = public.find(header.get("kid"))
    if key is None:
        raise _invalid("there is no key of the name ('kid') in its header among those of 'jwt_keys'")
    claims = _decoded(value, key, key.algorithm_name, keys.issuer, keys.audience)
    if claims is None:
        raise _invalid("its signature is wrong")
    return claims


def _decoded(value: str, key: str | jwt.PyJWK, algorithm: str, issuer: str, audience: str) -> Mapping[str, Any] | None:
    """Return the claims, or None if another key signed them. Raises ClickpipeError 403."""
    try:
        found: Mapping[str, Any] = jwt.decode(
            value,
            key,
            algorithms=[algorithm],
            issuer=issuer or None,
            audience=audience or None,
            options={"require": list(_CLAIMS), "verify_iss": bool(issuer), "verify_aud": bool(audience)},
        )
    except jwt.InvalidSignatureError:
        return None
    except jwt.ExpiredSignatureError:
        raise _invalid("it has expired") from None
    except jwt.MissingRequiredClaimError as error:
        raise _invalid(f"the claim '{error.claim}' is missing") from None
    except jwt.PyJWTError as error:
        raise _invalid(str(error)) from None
    return found


def _token(claims: Mapping[str, Any]) -> Token:
    name, scopes = claims["name"], claims["scopes"]
    if not isinstance(name, str) or not name:
        message = "'name' is a text that is not empty."
        raise ClickpipeError(message, code="bad_jwt")
    if not isinstance(scopes, list) or not scopes:
        message = "'scopes' is a list of scopes that is not empty."
        raise ClickpipeError(message, code="bad_jwt")
    json.dumps([name, scopes, claims["workspace_id"]], ensure_ascii=False).encode()  # raises for lone surrogates
    grants = [_grant(given) for given in scopes]
    granted = collect(grants)
    if not isinstance(claims["workspace_id"], str) or type(claims["exp"]) not in {int, float}:
        message = "'workspace_id' is a text, and 'exp' a number of seconds."
        raise ClickpipeError(message, code="bad_jwt")
    return Token(
        f"jwt:{name}",
        claims["workspace_id"],
        name,
        "",
        granted.scopes,
        "jwt",
        "",
        granted.filters,
        granted.fixed_params,
        limits_of({} if claims.get("limits") is None else claims["limits"]),
        float(claims["exp"]),
    )


def _grant(given: Any) -> Grant:
    grant = grant_of_object(given)
    if grant.type not in ALLOWED or not grant.resource:
        message = f"A JWT has scopes {', '.join(sorted(ALLOWED))}, each for one resource; not '{grant.text}'."
        raise ClickpipeError(message, code="bad_scope")
    return grant


def _invalid(reason: str) -> ClickpipeError:
    return forbidden(f"The token is not valid: {reason}.")
