"""The registry says what is live; secrets are looked up through it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clickpipe.catalog import DEFAULT_WORKSPACE, Catalog, Registry, SecretValues, Workspace


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(tmp_path / "catalog.sqlite")
    yield made
    made.close()


def test_it_answers_for_workspaces_and_previews_and_for_unknown_ones() -> None:
    live: Any = SimpleNamespace(name="live")
    registry = Registry()
    entry = registry.add(Workspace("main", "main", ""))
    preview = registry.add(Workspace("pre", "pre", "", parent="main"))
    assert registry.all_live() == {}
    entry.live = preview.live = live
    assert registry.live("main") is live
    assert list(registry.all_live()) == ["main", "pre"]
    assert list(registry.all_live(previews=False)) == ["main"]
    assert [registry.owner(each) for each in ("main", "pre", "nobody")] == ["main", "main", "nobody"]
    assert [registry.database(each) for each in ("main", "nobody")] == ["ws_main", ""]
    registry.remove("main")
    assert (registry.live("main"), registry.record("main"), entry.live) == (None, None, live)


@pytest.mark.parametrize(("for_all", "elsewhere"), [(False, None), (True, "of the environment")])
def test_secrets_come_from_folder_catalog_parent_and_environment(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, *, for_all: bool, elsewhere: Any
) -> None:
    monkeypatch.setenv("CLICKPIPE_SECRET_key", "of the environment")
    registry = Registry()
    default, other = catalog.create_workspace(DEFAULT_WORKSPACE), catalog.create_workspace("other")
    preview = catalog.create_workspace("pre", parent=other.id)
    for record in (default, other, preview):
        registry.add(record)
    secrets = SecretValues(catalog.secrets, registry, environment_for_all=for_all)
    assert secrets.value(default.id, "key") == "of the environment"
    assert secrets.value(other.id, "key") == secrets.value(preview.id, "key") == elsewhere
    catalog.secrets.put(other.id, "key", "stored")
    assert secrets.value(other.id, "key") == secrets.value(preview.id, "key") == "stored"
    secrets.set_local(other.id, {"key": "of the folder"})
    assert secrets.value(other.id, "key") == secrets.value(preview.id, "key") == "of the folder"
    assert secrets.value(default.id, "unknown") is None
