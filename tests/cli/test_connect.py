"""Which server and which token a command means, as people give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.cli.client import connect
from clickpipe.diagnostics import ClickpipeError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLICKPIPE_HOST", raising=False)
    monkeypatch.delenv("CLICKPIPE_TOKEN", raising=False)


@pytest.mark.parametrize("token", ["abc", "abc\n", " abc", "abc\r\n"])
def test_blanks_around_a_token_are_no_part_of_it(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`CLICKPIPE_TOKEN=$(cat file)` of a file from Windows, or a secret of CI with a line end."""
    assert connect("http://host\n", token).token == "abc"
    assert connect("http://host\n", token).url == "http://host"
    monkeypatch.setenv("CLICKPIPE_TOKEN", token)
    assert connect("http://host", None).token == "abc"


@pytest.mark.parametrize("token", ["tök", "a b", "a\nb", "“abc”", "a\x00b"])
def test_what_cannot_be_a_token_is_told_before_anything_is_sent(token: str) -> None:
    with pytest.raises(ClickpipeError, match="this is no token"):
        connect("http://host", token)


@pytest.mark.parametrize("token", ["", " ", "\n"])
def test_nothing_is_no_token(token: str) -> None:
    with pytest.raises(ClickpipeError, match="no token for http://host"):
        connect("http://host", token)
