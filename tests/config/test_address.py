"""The address that a running server leaves in its data folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from clickpipe.config import ServerAddress, find_address, publish_address, withdraw_address

ADDRESS = ServerAddress("http://127.0.0.1:7181", "p.secret")


def test_an_address_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    assert find_address(tmp_path) is None
    publish_address(tmp_path, ServerAddress("http://127.0.0.1:1", "old"))
    publish_address(tmp_path, ADDRESS)
    assert find_address(tmp_path) == ADDRESS
    withdraw_address(tmp_path)
    withdraw_address(tmp_path)
    assert find_address(tmp_path) is None


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    left_behind = tmp_path / "server.json.new"  # by a server that was killed while it wrote
    left_behind.write_text("{")
    left_behind.chmod(0o644)
    publish_address(tmp_path, ADDRESS)
    assert [path.name for path in tmp_path.iterdir()] == ["server.json"]
    assert stat.S_IMODE((tmp_path / "server.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"url": "x"}', '{"url": "x", "token": "y", "more": 1}', "1"])
def test_a_broken_file_is_no_address(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert find_address(tmp_path) is None


def test_the_token_is_not_shown() -> None:
    assert "p.secret" not in repr(ADDRESS)
