"""Removes the values of secrets and tokens from everything that is shown: errors, plans, logs and URLs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote_plus

HIDDEN = "***"
_LONG = 8  # shortest part of a secret that is unlikely to appear by chance, and is hidden as well
_SHORT = 4  # secrets shorter than this are hidden only as written
_TOKEN = re.compile(r"(?<![\w-])(?:ey[\w-]{6,}+\.[\w-]{2,}+\.[\w-]*+|p\.[\w-]{30,}+)")  # signed, or made by clickpipe
_CREDENTIALS = re.compile(r"(?<=://)[^/?#@\s'\"]++@")
_NAMED = re.compile(r"\b((?:token|password|user|x-amz-signature|sig|signature)=)[^&\s'\"]++", re.IGNORECASE)
_BEARER = re.compile(r"\b((?:bearer|basic)\s++)[\w.~+/=-]{8,}", re.IGNORECASE)
_MAY_NAME = re.compile(r"token|password|user|%", re.IGNORECASE)
_SHORTEST = 12  # minimum length of what is hidden by its form
_LEFT_OUT = frozenset({"token", "password", "user"})  # parameters removed from a URL's query
_CLICKHOUSE = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\b": "\\b", "\f": "\\f"}
)


def redact(text: str, secrets: Iterable[str] = (), *, parts: bool = True, urls: bool = False) -> str:
    """Return a text with *** instead of each secret, however it is escaped; with `parts`, also of long parts of them.

    Anything that looks like a token is hidden, too; with `urls`, also credentials in URLs.
    """
    for secret in sorted({secret for secret in secrets if secret}, key=len, reverse=True):
        text = _without(text, secret, parts=parts)
    if urls and "=" in text:
        text = _NAMED.sub(rf"\1{HIDDEN}", text)
    if "://" in text:
        text = _CREDENTIALS.sub(f"{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _TOKEN.sub(HIDDEN, text)


def redact_query(query: str) -> str:
    """Return a URL's query without tokens and passwords, whatever their names or positions."""
    if _MAY_NAME.search(query):
        parts = query.split("&")
        left = (part for part in parts if unquote_plus(part.partition("=")[0]).strip().lower() not in _LEFT_OUT)
        query = "&".join(left)
    if len(query) < _SHORTEST or not _TOKEN.search(unquote_plus(query)):
        return query
    return "&".join(map(_without_tokens, query.split("&")))


def _without_tokens(part: str) -> str:
    """Replace tokens in a parameter of a URL's query; its whole value if a token in it is escaped."""
    part = _TOKEN.sub(HIDDEN, part)
    return f"{part.partition('=')[0][:_SHORTEST]}={HIDDEN}" if _TOKEN.search(unquote_plus(part)) else part


def redact_parameters(values: Mapping[str, str]) -> dict[str, str]:
    """Return parameters with *** for values that are tokens or passwords by their names."""
    return {
        name: HIDDEN if name.strip().lower() in _LEFT_OUT else redact(value) if len(value) >= _SHORTEST else value
        for name, value in values.items()
    }


def _without(text: str, secret: str, *, parts: bool) -> str:
    """Return a text with *** instead of a secret."""
    for form in _forms(secret):
        text = _replaced(text, form)
        if parts and len(form) > _LONG and len(text) >= _LONG:
            text = _without_parts(text, form)
    return text


def _replaced(text: str, form: str) -> str:
    """Return a text with *** instead of a form of a secret, ignoring case: ClickHouse lower-cases some names."""
    if len(form) < _SHORT:
        return text.replace(form, HIDDEN)
    low, wanted = _folded(text), _folded(form)
    found: list[str] = []
    at = 0
    while (start := low.find(wanted, at)) >= 0:
        found += [text[at:start], HIDDEN]
        at = start + len(form)
    return "".join([*found, text[at:]])


def _folded(text: str) -> str:
    """Return a text in lower case, letter by letter, to keep its length."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


def _forms(secret: str) -> list[str]:
    """Return the forms that a secret may take in a text, the longest first."""
    escaped = secret.translate(_CLICKHOUSE)
    forms = {
        secret,
        escaped,
        escaped.translate(_CLICKHOUSE),
        secret.replace("'", "''"),
        quote(secret, safe=""),
        quote(secret),
    }
    forms |= {json.dumps(form, ensure_ascii=ascii_)[1:-1] for form in (secret, escaped) for ascii_ in (True, False)}
    return sorted(forms, key=len, reverse=True)


def _without_parts(text: str, secret: str) -> str:
    """Return a text with *** instead of long parts of a secret, as messages truncate values."""
    shown, secret = text, _folded(secret)
    text = _folded(text)
    parts = {secret[at : at + _LONG] for at in range(len(secret) - _LONG + 1)}
    found: list[str] = []
    at = start = 0
    while at <= len(text) - _LONG:
        if text[at : at + _LONG] not in parts:
            at += 1
            continue
        end = at + _LONG
        while end < len(text) and text[end - _LONG + 1 : end + 1] in parts:
            end += 1
        found += [shown[start:at], HIDDEN]
        at = start = end
    return "".join([*found, shown[start:]]) if found else shown
