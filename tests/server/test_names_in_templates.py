"""What an endpoint tells a caller, and what it reads for one: no names of other tables, no quarantine past a filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.runtime import Instance
from tests.server.conftest import Client, filled, sign

SOURCE = """SCHEMA >
    `id` UInt64 `json:$.id`,
    `tenant` String `json:$.tenant`

ENGINE "MergeTree"
ENGINE_SORTING_KEY "id"
"""
NODE = "NODE n\nSQL >\n    %\n    {}\nTYPE endpoint\n"
QUARANTINE = {
    "refused": "SELECT tenant FROM rows_quarantine",
    "both": "SELECT tenant FROM rows UNION ALL SELECT assumeNotNull(tenant) FROM rows_quarantine",
    "inside": "SELECT 1 AS a WHERE 'globex' IN (SELECT tenant FROM rows_quarantine)",
    "over": "SELECT * FROM refused",
}
FILES = {
    "datasources/rows.datasource": SOURCE,
    "datasources/secret_deals.datasource": SOURCE,
    "pipes/chosen.pipe": NODE.format("SELECT count() AS n FROM {{table(name, 'rows')}}"),
    "pipes/any.pipe": NODE.format("SELECT count() AS n FROM {{table(name)}}"),
    "pipes/called.pipe": NODE.format("SELECT {{symbol(name, 'id')}} AS n FROM rows"),
    **{f"pipes/{name}.pipe": NODE.format(sql) for name, sql in QUARANTINE.items()},
}


@pytest.fixture(scope="module")
def rows(server_instance: Instance) -> Iterator[Client]:
    lines = [{"id": n, "tenant": t} for n, t in enumerate(("acme", "globex"))] + [{"id": "none", "tenant": "globex"}]
    with filled(server_instance, "names_in_templates", FILES, {"rows": lines}) as client:
        yield client


def _reader(client: Client, *more: dict[str, Any]) -> str:
    pipes = ("chosen", "any", "called", *QUARANTINE)
    return sign(client, *({"type": "PIPES:READ", "resource": name} for name in pipes), *more)


def _ask(client: Client, value: str, path: str, **params: str) -> Any:
    return client("GET", path, token=None, params=params, headers={"Authorization": f"Bearer {value}"})


@pytest.mark.parametrize("name", ["nothing", "secret_deal", "SECRET_DEALS", "", "`", "row"])
@pytest.mark.parametrize("pipe", ["chosen", "any", "called"])
def test_a_name_that_is_not_there_tells_of_none_that_are(rows: Client, pipe: str, name: str) -> None:
    value = _reader(rows)
    for reply in (
        _ask(rows, value, f"/v0/pipes/{pipe}.json", name=name),
        _ask(rows, value, "/v0/sql", q=f"SELECT * FROM {pipe}", name=name),
    ):
        assert reply.status_code == 400, reply.text
        assert "secret_deals" not in reply.text
        assert "refused" not in reply.text


@pytest.mark.parametrize("pipe", QUARANTINE)
def test_a_pipe_over_a_quarantine_is_not_for_who_has_a_filter(rows: Client, pipe: str) -> None:
    limited = _reader(rows, {"type": "DATASOURCES:READ", "resource": "rows", "filter": "tenant = 'acme'"})
    for reply in (
        _ask(rows, limited, f"/v0/pipes/{pipe}.json"),
        _ask(rows, limited, f"/v0/pipes/{pipe}.json", q="SELECT count() FROM _"),
        _ask(rows, limited, "/v0/sql", q=f"SELECT * FROM {pipe}"),
    ):
        assert reply.status_code == 403, reply.text
        assert "globex" not in reply.text
    other = {"type": "DATASOURCES:READ", "resource": "secret_deals", "filter": "tenant = 'acme'"}
    for value in (_reader(rows), _reader(rows, other)):
        assert _ask(rows, value, f"/v0/pipes/{pipe}.json").status_code == 200
