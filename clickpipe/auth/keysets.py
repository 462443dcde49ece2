"""Public keys of an identity provider (JWKS, RFC 7517): whose signed tokens we take, and cannot make."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import jwt

from clickpipe.diagnostics import ClickpipeError

ALGORITHMS = ("RS256", "ES256")
_LOGGER = logging.getLogger(__name__)
KEYS_EVERY = 300.0  # seconds between looks
_TIMEOUT = 5  # seconds for one


class KeySet:
    """The keys at a URL or in a file, read anew every five minutes; those last read are good while it cannot be."""

    def __init__(self, source: str, changed: Callable[[], None], *, every: float = KEYS_EVERY) -> None:
        """Read it. `changed` is called when other keys were found. Raises ClickpipeError for a file that is none.

        A URL that does not answer is asked again: the server is not to depend on another one to start.
        """
        self._source = source
        self._changed = changed
        self._every = every
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._text = ""
        self._wake = threading.Event()
        self._closed = False
        if not self._load() and not _is_url(source):
            message = (
                f'jwt_keys: there are no keys for {" or ".join(ALGORITHMS)} in {source!r} (a JWKS: {{"keys": […]}})'
            )
            raise ClickpipeError(message, code="bad_settings")
        self._thread = threading.Thread(target=self._run, name="jwt-keys", daemon=True)
        self._thread.start()

    def find(self, name: str | None) -> jwt.PyJWK | None:
        """Return the key of that name (`kid`); without a name the only one there is."""
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(name)

    def close(self) -> None:
        """Look no more."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._wake.wait(self._every if self._keys else min(self._every, _TIMEOUT)) and not self._closed:
            self._load()

    def _load(self) -> bool:
        try:
            if _is_url(self._source):
                found = jwt.PyJWKClient(self._source, cache_jwk_set=False, timeout=_TIMEOUT).fetch_data()
            else:
                found = json.loads(Path(self._source).read_text(encoding="utf-8"))
            keys = jwt.PyJWKSet.from_dict(found).keys
        except (jwt.PyJWTError, OSError, ValueError, AttributeError, TypeError) as error:
            _LOGGER.warning("jwt_keys: %s cannot be read: %s", self._source, error)
            return False
        usable = {key.key_id: key for key in keys if key.algorithm_name in ALGORITHMS and key.public_key_use != "enc"}
        text = json.dumps(found, sort_keys=True)
        if text != self._text:
            self._keys, self._text = usable, text
            self._changed()
        return bool(usable)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))
