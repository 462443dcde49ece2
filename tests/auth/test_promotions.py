"""Tokens after a promotion: what could not be read is not answered from memory."""

from __future__ import annotations

import sqlite3

import pytest

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.runtime import Instance, Workspace

FILE = {"events.datasource": 'TOKEN "writer" APPEND\n\nSCHEMA >\n    id String `json:$.id`\n'}


def test_a_token_that_a_promotion_removed_is_not_found_even_if_reading_failed(
    instance: Instance, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.deploy(FILE)
    (writer,) = (token for token in instance.catalog.tokens.all(workspace.id) if token.name == "writer")
    assert instance.tokens.find(writer.value).name == "writer"

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(instance.tokens, "refresh", fail)
        workspace.deploy({"events.datasource": FILE["events.datasource"].replace('TOKEN "writer" APPEND\n', "")})
        with pytest.raises(sqlite3.OperationalError):
            instance.tokens.find(writer.value)
    assert instance.tokens.find(instance.admin_token().value).name == ADMIN_TOKEN
