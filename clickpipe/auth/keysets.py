"""Public keys of an identity provider (JWKS, RFC 7517): we can verify its tokens, but not create any."""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import jwt

from clickpipe.diagnostics import ClickpipeError

ALGORITHMS = ("RS256", "ES256")
_LOGGER = logging.getLogger(__name__)
KEYS_EVERY = 300.0  # seconds between reads
_TIMEOUT = 5.0  # seconds per read
_MOST = 1 << 20  # bytes per read: thousands of keys
_BLOCK = 1 << 16


class KeySet:
    """The keys at a URL or in a file, read every five minutes. If that fails, the last keys stay valid."""

    def __init__(self, source: str, changed: Callable[[], None], *, every: float = KEYS_EVERY) -> None:
        """Read the keys; call `changed` whenever they differ. Raises ClickpipeError for a file without usable keys.

        An unreachable URL is retried later: our start must not depend on another server.
        """
        self._source = source
        self._changed = changed
        self._every = every
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._text = ""
        self._wake = threading.Event()
        self._closed = False
        self._fetching: Future[bytes] | None = None
        if not self._load() and not _is_url(source):
            message = (
                f'jwt_keys: there are no keys for {" or ".join(ALGORITHMS)} in {source!r} (a JWKS: {{"keys": […]}})'
            )
            raise ClickpipeError(message, code="bad_settings")
        self._thread = threading.Thread(target=self._run, name="jwt-keys", daemon=True)
        self._thread.start()

    def find(self, name: str | None) -> jwt.PyJWK | None:
        """Return the key with this name (`kid`); without a name, the only key if there is just one."""
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name)

    def close(self) -> None:
        """Stop reading."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._wake.wait(self._every if self._keys else min(self._every, _TIMEOUT)) and not self._closed:
            self._load()

    def _load(self) -> bool:
        try:
            found = json.loads(self._fetched() if _is_url(self._source) else Path(self._source).read_bytes())
            keys = jwt.PyJWKSet.from_dict(found).keys
            usable = {
                key.key_id: key
                for key in keys
                if key.algorithm_name in ALGORITHMS and key.public_key_use != "enc" and _is_name(key.key_id)
            }
        except Exception as error:  # noqa: BLE001 - whatever happened, we try again later
            _LOGGER.warning("jwt_keys: %s cannot be read: %s", self._source, str(error) or type(error).__name__)
            return False
        text = json.dumps(found, sort_keys=True)
        if text != self._text:
            self._keys, self._text = usable, text
            self._changed()
        return bool(usable)

    def _fetched(self) -> bytes:
        """Return the URL's response. Raises OSError, HTTPException, and TimeoutError if it takes too long.

        A server may send headers byte by byte forever: we stop waiting, and retry only once that request has ended.
        """
        if self._fetching is None or self._fetching.done():
            self._fetching = Future()
            given = (self._source, self._fetching)
            threading.Thread(target=_fetch, args=given, name="jwt-keys-fetch", daemon=True).start()
        return self._fetching.result(_TIMEOUT)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: the settings decide whose keys we trust, not the server that answers."""

    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


def _fetch(url: str, into: Future[bytes]) -> None:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "clickpipe"})  # noqa: S310 - http or https
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT) as response:
            into.set_result(_whole(response))
    except Exception as error:  # noqa: BLE001 - the future raises it
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        into.set_exception(error)


def _whole(response: Any) -> bytes:
    until, found = time.monotonic() + _TIMEOUT, bytearray()
    while block := response.read1(_BLOCK):
        found += block
        if len(found) > _MOST or time.monotonic() > until:
            message = f"it is longer than {_MOST} bytes, or takes longer than {_TIMEOUT:g} seconds"
            raise OSError(message)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(found)


def _is_name(name: object) -> bool:
    return name is None or isinstance(name, str)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))
