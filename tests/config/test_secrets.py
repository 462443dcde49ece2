"""Secrets of a folder: `.env` and `.env.local`."""

from __future__ import annotations

from pathlib import Path

from clickpipe.config import folder_secrets


def test_env_files(tmp_path: Path) -> None:
    assert folder_secrets(tmp_path) == {}
    (tmp_path / ".env").write_text("# of all\nA=1\nexport B='two words' # not this\nC=$A\nEMPTY=\nKEY\n")
    assert folder_secrets(tmp_path) == {"A": "1", "B": "two words", "C": "$A", "EMPTY": "", "KEY": ""}
    (tmp_path / ".env.local").write_text('A="mine"\n')
    assert folder_secrets(tmp_path)["A"] == "mine"
