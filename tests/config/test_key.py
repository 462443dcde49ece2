"""The key of tokens at rest: where it lies, and that it is needed."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from clickpipe.catalog import Catalog
from clickpipe.config import Cipher, ServerAddress, find_address, is_encrypted, load_cipher, publish_address
from clickpipe.config.key import key_file
from clickpipe.diagnostics import ClickpipeError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def cipher(setting: str = "") -> Cipher:
    found = load_cipher(setting)
    assert found is not None
    return found


def test_a_key_is_made_once_for_its_owner_only() -> None:
    hidden = cipher().encrypt("é secret")
    assert cipher().decrypt(hidden) == "é secret"
    assert cipher().encrypt("é secret") != hidden
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert cipher().decrypt("an open text") == "an open text"


def test_a_setting_is_the_key_on_every_machine(home: Path) -> None:
    hidden = cipher("a passphrase").encrypt("secret")
    assert not (home / "config").exists()
    assert cipher("a passphrase").decrypt(hidden) == "secret"
    with pytest.raises(ClickpipeError, match="encrypted with another key"):
        cipher("another").decrypt(hidden)


def test_without_a_place_for_the_key_it_is_said_so(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    (home / "config").write_text("a file")
    assert load_cipher("") is None
    assert "tokens are not encrypted" in caplog.text
    assert load_cipher("", make=False) is None


def test_a_damaged_key_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    cipher()
    key_file().write_text("short")
    assert load_cipher("") is None
    assert key_file().read_text() == "short"
    assert "short" not in caplog.text


def test_the_catalog_holds_no_value_that_can_be_read(home: Path) -> None:
    path = home / "catalog.sqlite"
    open_ = Catalog(path)
    workspace = open_.create_workspace("one").id
    open_.tokens.put(workspace, "before", ["TOKENS"], origin="api", value="value-before")
    open_.close()
    kept = Catalog(path, cipher())
    kept.tokens.put(workspace, "new", ["TOKENS"], origin="api", value="value-new")
    kept.tokens.set_value(kept.tokens.put(workspace, "other", [], origin="api").id, "value-other")
    assert {t.value for t in kept.tokens.all()} == {"value-before", "value-new", "value-other"}
    kept.close()
    data = b"".join(file.read_bytes() for file in home.glob("catalog.sqlite*"))
    assert b"value-new" not in data
    assert b"value-other" not in data
    rows = sqlite3.connect(path)
    assert all(is_encrypted(value) for (value,) in rows.execute("SELECT value FROM tokens"))
    rows.close()
    again = Catalog(path, cipher())
    assert len(again.tokens.all()) == 3
    again.close()
    for other in (None, cipher("another")):
        with pytest.raises(ClickpipeError, match="encryption_key"):
            Catalog(path, other)


def test_the_address_of_a_server_is_for_who_has_the_key(home: Path) -> None:
    publish_address(home, ServerAddress("http://127.0.0.1:1", "secret"), cipher())
    assert "secret" not in (home / "server.json").read_text()
    assert find_address(home) == ServerAddress("http://127.0.0.1:1", "secret")
    key_file().unlink()
    assert find_address(home) is None
    publish_address(home, ServerAddress("http://127.0.0.1:1", "open"))
    assert find_address(home) == ServerAddress("http://127.0.0.1:1", "open")
