"""Secrets of a workspace: encrypted in the file, read back for templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from clickpipe.catalog import Catalog
from clickpipe.config import load_cipher
from clickpipe.diagnostics import ClickpipeError


def test_a_secret_is_set_changed_and_removed(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite", load_cipher("key"))
    one, other = catalog.create_workspace("one").id, catalog.create_workspace("other").id
    secrets = catalog.secrets
    assert secrets.value(one, "key") is None
    assert secrets.put(one, "key", "first-välue")
    assert not secrets.put(one, "key", "second-value")
    assert (secrets.value(one, "key"), secrets.value(other, "key")) == ("second-value", None)
    (shown,) = secrets.all(one)
    assert shown.name == "key"
    assert shown.updated_at > shown.created_at
    catalog.close()
    again = Catalog(tmp_path / "catalog.sqlite", load_cipher("key"))
    assert again.secrets.value(one, "key") == "second-value"
    assert again.secrets.delete(one, "key")
    assert not again.secrets.delete(one, "key")
    assert again.secrets.value(one, "key") is None
    again.close()


def test_a_copy_of_the_folder_tells_none(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite", load_cipher("key"))
    workspace = catalog.create_workspace("one").id
    catalog.secrets.put(workspace, "key", "open-sesame")
    catalog.close()
    assert not [path for path in tmp_path.iterdir() if b"open-sesame" in path.read_bytes()]
    other = Catalog(tmp_path / "catalog.sqlite", load_cipher("another key"))
    with pytest.raises(ClickpipeError, match="encrypted with another key"):
        other.secrets.value(workspace, "key")
    other.close()


def test_secrets_go_with_their_workspace() -> None:
    catalog = Catalog(None)
    workspace = catalog.create_workspace("one").id
    catalog.secrets.put(workspace, "key", "x")
    catalog.delete_workspace(workspace)
    assert catalog.secrets.all(workspace) == []
    catalog.close()
