"""Workspaces with thousands of tokens: a change of one does not take longer for each of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickpipe.catalog import Catalog
from clickpipe.config import Cipher


class Counting(Cipher):
    """Counts how often each value is decrypted."""

    def __init__(self) -> None:
        super().__init__(b"k" * 32)
        self.decrypted: Counter[str] = Counter()

    def decrypt(self, text: str) -> str:
        self.decrypted[text] += 1
        return super().decrypt(text)


@pytest.fixture
def cipher() -> Counting:
    return Counting()


@pytest.fixture
def many(cipher: Counting, tmp_path: Path) -> Iterator[tuple[Catalog, str, str]]:
    """Two workspaces with twenty tokens each."""
    catalog = Catalog(tmp_path / "catalog.sqlite", cipher)
    first, second = (catalog.create_workspace(name).id for name in ("a", "b"))
    for workspace in (first, second):
        for number in range(20):
            catalog.tokens.put(workspace, f"t{number}", ["PIPES:READ"], origin="api")
    yield catalog, first, second
    catalog.close()


def test_a_value_is_decrypted_once(many: tuple[Catalog, str, str], cipher: Counting) -> None:
    catalog, first, _ = many
    for _ in range(3):
        assert len({token.value for token in catalog.tokens.all()}) == 40
    catalog.tokens.put(first, "t1", ["PIPES:READ:p"], origin="api")
    catalog.tokens.all()
    assert max(cipher.decrypted.values()) == 1


def test_a_new_value_is_the_one_that_is_found(many: tuple[Catalog, str, str]) -> None:
    catalog, first, second = many
    before = catalog.tokens.put(first, "t1", ["ADMIN"], origin="api")
    catalog.tokens.set_value(before.id, "another")
    found = {(token.workspace_id, token.name): token for token in catalog.tokens.all()}
    assert found[first, "t1"].value == "another"
    assert found[first, "t1"].scopes == ("ADMIN",)
    assert found[second, "t1"].value not in {"another", before.value}
    assert found[second, "t1"].scopes == ("PIPES:READ",)
    assert len(found) == 40
