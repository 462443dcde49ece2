"""Finding tokens, and keeping those of datafiles in step."""

from __future__ import annotations

import threading
import time

import pytest

from clickpipe.auth import ADMIN_TOKEN, TokenIndex, ensure_admin_token, reconcile
from clickpipe.catalog import Catalog, Token
from clickpipe.diagnostics import ClickpipeError
from tests.conftest import Compile

SOURCE = "SCHEMA >\n    id String\n"
PIPE = "NODE n\nSQL >\n    SELECT id FROM events\nTYPE endpoint\n"


@pytest.fixture
def workspace(catalog: Catalog) -> str:
    return catalog.create_workspace("one").id


def scopes(catalog: Catalog, workspace: str) -> dict[str, tuple[str, ...]]:
    return {t.name: t.scopes for t in catalog.tokens.all(workspace)}


def test_a_token_is_found_by_its_value_once_the_index_is_refreshed(catalog: Catalog, workspace: str) -> None:
    index = TokenIndex(catalog)
    made = catalog.tokens.put(workspace, "t", ["TOKENS"], origin="api", value="é-secret")
    with pytest.raises(ClickpipeError, match="not valid"):
        index.find("é-secret")
    index.refresh()
    assert index.find("é-secret") == made
    catalog.tokens.delete(made.id)
    index.refresh()
    with pytest.raises(ClickpipeError, match="not valid") as caught:
        index.find("é-secret")
    assert (caught.value.status, "secret" in caught.value.message) == (403, False)


@pytest.mark.parametrize("value", ["", "t", "SECRET", "secret ", "secre", "\ud800", "\0"])
def test_no_other_value_finds_it(catalog: Catalog, workspace: str, value: str) -> None:
    catalog.tokens.put(workspace, "t", ["TOKENS"], origin="api", value="secret")
    with pytest.raises(ClickpipeError) as caught:
        TokenIndex(catalog).find(value)
    assert caught.value.status == 403


def test_a_workspace_has_one_admin_token(catalog: Catalog, workspace: str) -> None:
    made = ensure_admin_token(catalog, workspace)
    assert made.scopes == ("ADMIN",)
    assert ensure_admin_token(catalog, workspace) == made
    changed = ensure_admin_token(catalog, workspace, "mine")
    assert (changed.id, changed.value) == (made.id, "mine")
    assert ensure_admin_token(catalog, workspace, "mine") == changed
    assert catalog.tokens.all(workspace) == [changed]


def test_the_tokens_of_datafiles_follow_their_lines(catalog: Catalog, workspace: str, compile_files: Compile) -> None:
    files = {
        "events.datasource": f'TOKEN "writer" APPEND\nTOKEN both READ\n{SOURCE}',
        "top.pipe": f"TOKEN reader READ\nTOKEN both READ\n{PIPE}",
    }
    admin = ensure_admin_token(catalog, workspace)
    own = catalog.tokens.put(workspace, "own", ["TOKENS"], origin="api")
    other = catalog.tokens.put(catalog.create_workspace("two").id, "gone", [], origin="datafile")
    reconcile(catalog, workspace, compile_files(files))
    first = {t.name: t for t in catalog.tokens.all(workspace)}
    assert scopes(catalog, workspace) == {
        ADMIN_TOKEN: ("ADMIN",),
        "own": ("TOKENS",),
        "writer": ("DATASOURCES:APPEND:events",),
        "both": ("DATASOURCES:READ:events", "PIPES:READ:top"),
        "reader": ("PIPES:READ:top",),
    }
    reconcile(catalog, workspace, compile_files({"events.datasource": SOURCE, "top.pipe": f"TOKEN both READ\n{PIPE}"}))
    assert scopes(catalog, workspace) == {ADMIN_TOKEN: ("ADMIN",), "own": ("TOKENS",), "both": ("PIPES:READ:top",)}
    kept = {t.name: t for t in catalog.tokens.all(workspace)}
    assert (kept[ADMIN_TOKEN], kept["own"]) == (admin, own)
    assert (kept["both"].id, kept["both"].value) == (first["both"].id, first["both"].value)
    assert other in catalog.tokens.all()


@pytest.mark.parametrize("origin", ["api", "datafile"])
@pytest.mark.parametrize("own", [["DATASOURCES:READ:events"], ["DATASOURCES:READ:events", "PIPES:READ:top"], []])
def test_a_line_widens_no_filter_of_a_token(
    catalog: Catalog, workspace: str, compile_files: Compile, origin: str, own: list[str]
) -> None:
    """A deployment that names a token which a customer has is not to give it everybody's rows."""
    filters, fixed = {"events": "tenant = 'acme'"}, {"top": {"tenant": "acme"}}
    given = catalog.tokens.put(workspace, "acme", own, origin=origin, filters=filters, fixed_params=fixed)
    lines = f"TOKEN acme READ\nTOKEN acme APPEND\n{SOURCE}"
    reconcile(catalog, workspace, compile_files({"events.datasource": lines, "top.pipe": PIPE}))
    reconcile(catalog, workspace, compile_files({"events.datasource": lines, "top.pipe": f"TOKEN acme READ\n{PIPE}"}))
    (found,) = catalog.tokens.all(workspace)
    assert (found.id, found.value, found.filters, found.fixed_params) == (given.id, given.value, filters, fixed)
    assert set(found.scopes) == {"DATASOURCES:READ:events", "DATASOURCES:APPEND:events", "PIPES:READ:top"}


def test_a_line_takes_nothing_from_a_token_that_was_made_otherwise(
    catalog: Catalog, workspace: str, compile_files: Compile
) -> None:
    catalog.tokens.put(workspace, "ci", ["TOKENS", "PIPES:READ:top"], origin="api")
    for lines in ("TOKEN ci READ\n", ""):
        reconcile(catalog, workspace, compile_files({"events.datasource": f"{lines}{SOURCE}", "top.pipe": PIPE}))
        assert set(scopes(catalog, workspace)["ci"]) == {"TOKENS", "PIPES:READ:top", "DATASOURCES:READ:events"}


def test_a_datafile_cannot_take_the_admin_token(catalog: Catalog, workspace: str, compile_files: Compile) -> None:
    admin = ensure_admin_token(catalog, workspace)
    reconcile(catalog, workspace, compile_files({"events.datasource": f'TOKEN "{ADMIN_TOKEN}" READ\n{SOURCE}'}))
    assert catalog.tokens.all(workspace) == [admin]


def test_one_token_is_read_again_without_the_others(
    catalog: Catalog, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading all of many thousands held up every request of every workspace, each time one was made."""
    index = TokenIndex(catalog)
    monkeypatch.setattr(catalog.tokens, "all", lambda *_: pytest.fail("all were read"))
    made = catalog.tokens.put(workspace, "t", ["TOKENS"], origin="api", value="first")
    index.refresh_one(made.id)
    assert index.find("first") == made
    changed = catalog.tokens.put(workspace, "t", ["PIPES:READ"], origin="api")
    index.refresh_one(made.id)
    assert index.find("first") == changed
    catalog.tokens.set_value(made.id, "second")
    index.refresh_one(made.id)
    assert index.find("second").id == made.id
    with pytest.raises(ClickpipeError, match="not valid"):
        index.find("first")
    catalog.tokens.delete(made.id)
    for _ in range(2):
        index.refresh_one(made.id)
        with pytest.raises(ClickpipeError, match="not valid"):
            index.find("second")


def test_a_new_admin_token_ends_what_the_old_one_signed(catalog: Catalog, workspace: str) -> None:
    index = TokenIndex(catalog)
    admin = ensure_admin_token(catalog, workspace)
    index.refresh()
    signed = index.sign(workspace, "user", time.time() + 600, [{"type": "PIPES:READ", "resource": "top"}], {})
    assert index.find(signed).name == "user"
    catalog.tokens.set_value(admin.id, "another" * 8)
    index.refresh_one(admin.id)
    with pytest.raises(ClickpipeError, match="not valid"):
        index.find(signed)


def test_a_thread_that_read_before_a_removal_does_not_bring_a_token_back(
    catalog: Catalog, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = TokenIndex(catalog)
    made = catalog.tokens.put(workspace, "t", ["TOKENS"], origin="api", value="value")
    index.refresh()
    has_read, go_on, read = threading.Event(), threading.Event(), catalog.tokens.all

    def slowly() -> list[Token]:
        found = read()
        has_read.set()
        go_on.wait(30)
        return found

    monkeypatch.setattr(catalog.tokens, "all", slowly)
    slow = threading.Thread(target=index.refresh)
    slow.start()
    has_read.wait(30)
    monkeypatch.setattr(catalog.tokens, "all", read)
    catalog.tokens.delete(made.id)
    threads = [threading.Thread(target=again) for again in (index.refresh, lambda: index.refresh_one(made.id))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(0.2)
    go_on.set()
    for thread in (slow, *threads):
        thread.join()
    with pytest.raises(ClickpipeError, match="not valid"):
        index.find("value")
