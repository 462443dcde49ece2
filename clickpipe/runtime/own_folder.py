"""Tells a data folder that was made here from one that came with a repository.

Opening a data folder runs what it contains: table definitions, jobs, deployments. So clickpipe marks each folder that
it makes with a text encrypted by the user's key, which lies outside, and opens no other.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from clickpipe.config import Cipher, KeyOfProject, Settings, is_encrypted, load_cipher
from clickpipe.diagnostics import ClickpipeError

_MARK, _TEXT = "made-by", "a data folder of clickpipe"
_CONTENT = ("catalog.sqlite", "engine", "wal", "uploads")
_TRUST = "CLICKPIPE_TRUST_DATA_DIR"  # no setting: a project's clickpipe.toml must not decide this


def own_cipher(folder: Path, settings: Settings) -> Cipher | None:
    """Return what encrypts the tokens of a data folder, and mark a new folder as made here.

    Raises ClickpipeError 403 for a folder that somebody else made. One without a mark counts as made here if its tokens
    are encrypted with the user's key. A key that the project itself brings proves nothing.
    """
    found = load_cipher(settings.encryption_key)
    of_project = isinstance(settings.encryption_key, KeyOfProject)
    _require_own(folder, load_cipher("") if of_project else found)
    return found


def _require_own(folder: Path, cipher: Cipher | None) -> None:
    if cipher is None:
        return  # no key can be kept, which was logged
    mark = folder / _MARK
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if _is_ours(cipher, mark.read_text(encoding="ascii")):
            return
    is_known = not any((folder / name).exists() for name in _CONTENT) or os.environ.get(_TRUST) == "1"
    if not (is_known or _has_own_tokens(folder / "catalog.sqlite", cipher)):
        message = (
            f"The data folder {folder} was not made with your key: it may have come with the project, and opening it "
            "would run what it contains. If you do not know it, remove it. If it is yours, bring back its key "
            "(~/.config/clickpipe/key, or CLICKPIPE_ENCRYPTION_KEY; one in clickpipe.toml does not count), or start "
            f"once with the environment variable {_TRUST}=1."
        )
        raise ClickpipeError(message, status=403, code="foreign_folder")
    mark.unlink(missing_ok=True)
    descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(cipher.encrypt(_TEXT))


def _is_ours(cipher: Cipher, text: str) -> bool:
    with contextlib.suppress(ClickpipeError, ValueError):
        return is_encrypted(text) and cipher.decrypt(text) == _TEXT
    return False


def _has_own_tokens(catalog: Path, cipher: Cipher) -> bool:
    """Tell whether a catalog has tokens, each of them encrypted with this key."""
    if not catalog.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{catalog.absolute().as_uri()}?mode=ro", uri=True)) as database:
            values = [str(value) for (value,) in database.execute("SELECT value FROM tokens LIMIT 1000")]
        return bool(values) and all(is_encrypted(value) and cipher.decrypt(value) for value in values)
    except (sqlite3.Error, ClickpipeError, ValueError):
        return False
