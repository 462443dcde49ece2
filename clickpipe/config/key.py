"""The key that encrypts tokens at rest. It is not in the data folder, so a copy of that reveals no token.

It is derived from the setting `encryption_key` or else read from `~/.config/clickpipe/key`, which the first start
creates.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import secrets
from pathlib import Path

from clickpipe.diagnostics import ClickpipeError

_LOGGER = logging.getLogger(__name__)
_MARK = "enc1:"
_BYTES, _NONCE = 32, 12


class Cipher:
    """Encrypts short texts (AES-256-GCM)."""

    def __init__(self, key: bytes) -> None:
        """Use a key of 32 bytes."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._aes = AESGCM(key)

    def encrypt(self, text: str) -> str:
        """Return the text encrypted and marked as such; the result differs each time."""
        nonce = secrets.token_bytes(_NONCE)
        return _MARK + base64.b64encode(nonce + self._aes.encrypt(nonce, text.encode(), None)).decode()

    def decrypt(self, text: str) -> str:
        """Decrypt a text; one without the mark is returned unchanged. Raises ClickpipeError if the key is wrong."""
        if not is_encrypted(text):
            return text
        from cryptography.exceptions import InvalidTag

        data = base64.b64decode(text.removeprefix(_MARK))
        try:
            return self._aes.decrypt(data[:_NONCE], data[_NONCE:], None).decode()
        except InvalidTag:
            message = (
                "The tokens in this data folder are encrypted with another key: set encryption_key to its old value, "
                "or restore the key file (~/.config/clickpipe/key)."
            )
            raise ClickpipeError(message, code="wrong_key") from None


def is_encrypted(text: str) -> bool:
    """Return whether a text was encrypted by a Cipher."""
    return text.startswith(_MARK)


def load_cipher(encryption_key: str, *, make: bool = True) -> Cipher | None:
    """Return the cipher for tokens, from the setting `encryption_key` or the key file (created if `make`).

    Returns None, and logs why, if there is no key and none can be stored.
    """
    if encryption_key:
        derived = hashlib.scrypt(encryption_key.encode(), salt=b"clickpipe tokens", n=2**14, r=8, p=1, dklen=_BYTES)
        return Cipher(derived)
    path = key_file()
    try:
        return Cipher(_read(path) if path.exists() or not make else _make(path))
    except (OSError, ValueError) as error:
        if make:
            _LOGGER.warning("tokens are not encrypted: no access to key file %s (%s); set encryption_key", path, error)
        return None


def key_file() -> Path:
    """Return the path of the key file."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "clickpipe" / "key"


def _read(path: Path) -> bytes:
    key = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
    if len(key) != _BYTES:
        message = f"it is not {_BYTES} bytes in base64"
        raise ValueError(message)
    return key


def _make(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = secrets.token_bytes(_BYTES)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another process created it first
        return _read(path)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(base64.b64encode(key).decode() + "\n")
    return key
