"""A data folder that came with a repository is not opened; one's own is, wherever it was copied to."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from clickpipe.auth import ensure_admin_token
from clickpipe.catalog import Catalog
from clickpipe.config import Settings, load_settings
from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance
from clickpipe.runtime.own_folder import own_cipher

_TOUCHED = ("lock", "catalog.sqlite-shm", "catalog.sqlite-wal")
KEY = "a key that the project brings"


@pytest.fixture
def me(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "me"))
    return tmp_path


def _make(folder: Path, settings: Settings | None = None) -> str:
    """Make a data folder as a server does, without an engine; return a token's value."""
    catalog = Catalog(folder / "catalog.sqlite", own_cipher(folder, settings or Settings()))
    (folder / "engine").mkdir()
    value = ensure_admin_token(catalog, catalog.create_workspace("default").id).value
    catalog.close()
    return value


def _made_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings | None = None) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_CONFIG_HOME", str(folder.parent / "somebody"))
        folder.mkdir()
        _make(folder, settings)


def _whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(folder, monkeypatch)


def _without_mark(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(folder, monkeypatch)
    (folder / "made-by").unlink()


def _open_mark(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(folder, monkeypatch)
    (folder / "made-by").write_text("a data folder of clickpipe")


def _open_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_mark(folder, monkeypatch)
    with sqlite3.connect(folder / "catalog.sqlite") as database:
        database.execute("UPDATE tokens SET value = 'p.what-the-attacker-knows'")


def _without_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_mark(folder, monkeypatch)
    with sqlite3.connect(folder / "catalog.sqlite") as database:
        database.execute("DELETE FROM tokens")


def _without_catalog(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_mark(folder, monkeypatch)
    for path in folder.glob("catalog.sqlite*"):
        path.unlink()


def _only_log(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "wal").mkdir(parents=True)


def _no_database(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "catalog.sqlite").write_text("SELECT")


def _key_of_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(folder, monkeypatch, Settings(encryption_key=KEY))
    (folder.parent / "clickpipe.toml").write_text(f'encryption_key = "{KEY}"\n')


FOREIGN = (
    *(_whole, _without_mark, _open_mark, _open_tokens, _without_tokens, _without_catalog, _only_log, _no_database),
    _key_of_project,
)


@pytest.mark.parametrize("make", FOREIGN)
def test_a_folder_of_somebody_else_is_not_opened(
    me: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path, pytest.MonkeyPatch], None]
) -> None:
    folder = me / ".clickpipe"
    make(folder, monkeypatch)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name not in _TOUCHED}
    with pytest.raises(ClickpipeError, match="was not made with your key") as refused:
        Instance(folder, load_settings(me))
    assert refused.value.status == 403
    assert before == {path: path.read_bytes() for path in before}
    assert not (folder / "engine" / "data").exists()


def test_one_s_own_is_opened_again_and_after_a_move(me: Path) -> None:
    (me / "data").mkdir()
    _make(me / "data")
    mark = me / "data" / "made-by"
    assert stat.S_IMODE(mark.stat().st_mode) == 0o600
    kept = mark.read_bytes()
    shutil.move(me / "data", me / "moved")
    own_cipher(me / "moved", Settings())
    assert (me / "moved" / "made-by").read_bytes() == kept


def test_one_without_a_mark_is_known_by_its_tokens(me: Path) -> None:
    (me / "data").mkdir()
    _make(me / "data")
    (me / "data" / "made-by").unlink()
    own_cipher(me / "data", Settings())
    assert (me / "data" / "made-by").exists()


def test_a_key_in_the_environment_counts_wherever_it_runs(me: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKPIPE_ENCRYPTION_KEY", KEY)
    _made_elsewhere(me / "data", monkeypatch, load_settings(me))
    own_cipher(me / "data", load_settings(me))


def test_who_knows_a_folder_says_so_once(me: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(me / "data", monkeypatch)
    with monkeypatch.context() as once:
        once.setenv("CLICKPIPE_TRUST_DATA_DIR", "1")
        own_cipher(me / "data", Settings())
    own_cipher(me / "data", Settings())


def test_without_a_place_for_the_key_nothing_is_asked(me: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _made_elsewhere(me / "data", monkeypatch)
    (me / "config").write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(me / "config"))
    assert own_cipher(me / "data", Settings()) is None
