"""A resource with a VERSION has two names (`events`, `events__v3`): what a token may read is the same by both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clickpipe.runtime import Instance
from tests.server.conftest import Client, filled, sign

_SCHEMA = "SCHEMA >\n    `id` UInt64 `json:$.id`,\n    `tenant` String `json:$.tenant`\n\n"
_SOURCE = f'VERSION 3\n\n{_SCHEMA}ENGINE "MergeTree"\nENGINE_SORTING_KEY "id"\n'
_JOIN = (
    f'VERSION 3\n\n{_SCHEMA}ENGINE "Join"\nENGINE_JOIN_STRICTNESS "ANY"\nENGINE_JOIN_TYPE "LEFT"\n'
    'ENGINE_KEY_COLUMNS "id"\n'
)
_PIPE = "VERSION 2\n\nNODE n\nSQL >\n    %\n    SELECT id, tenant FROM events WHERE tenant = {{String(tenant, 'acme')}}\nTYPE endpoint\n"  # noqa: E501 - a datafile
FILES = {
    "datasources/events.datasource": _SOURCE,
    "datasources/other.datasource": _SOURCE,
    "datasources/keyed.datasource": _JOIN,
    "pipes/mine.pipe": _PIPE,
    "pipes/hidden.pipe": _PIPE.replace("FROM events", "FROM other"),
}
ROWS = ((0, "acme"), (1, "globex"), (2, "initech"))
TOKENS: dict[str, list[dict[str, Any]]] = {
    "events": [{"type": "DATASOURCES:READ", "resource": "events"}],
    "filtered": [
        {"type": "DATASOURCES:READ", "resource": name, "filter": "tenant = 'acme'"} for name in ("events", "keyed")
    ],
    "fixed": [{"type": "PIPES:READ", "resource": "mine", "fixed_params": {"tenant": "acme"}}],
    "pipe": [{"type": "PIPES:READ", "resource": "mine"}],
}
FORBIDDEN = (
    "SELECT * FROM {n}",
    "SELECT (1, 'globex') IN {n}",
    "SELECT (1, 'globex') IN ({n})",
    "SELECT (1, 'globex') NOT IN `{n}`",
    "SELECT (1, 'globex') GLOBAL IN {n}",
    "SELECT in((1, 'globex'), {n})",
    "SELECT globalNotNullIn((1, 'globex'), {n})",
    "SELECT arrayMap(x -> (x, 'globex') IN {n}, [1])",
    "SELECT if((toUInt64(1), 'globex') IN {n}, 1, throwIf(1))",
    "SELECT 1 FROM numbers(2) WHERE (number, 'globex') IN {n}",
    "SELECT * FROM (SELECT (1, 'globex') IN {n})",
    "WITH (1, 'globex') IN {n} AS a SELECT a",
    "SELECT (SELECT count() FROM {n})",
    "SELECT * FROM view(SELECT * FROM {n})",
    "% SELECT (1, 'globex') IN {{{{table('{n}')}}}}",
)


@pytest.fixture(scope="module")
def versions(server_instance: Instance) -> Iterator[tuple[Client, dict[str, str]]]:
    rows = [{"id": n, "tenant": tenant} for n, tenant in ROWS]
    with filled(server_instance, "versions", FILES, dict.fromkeys(("events", "other", "keyed"), rows)) as client:
        yield client, {name: sign(client, *scopes, name=name) for name, scopes in TOKENS.items()}


def _ask(client: Client, value: str, sql: str) -> Any:
    return client("POST", "/v0/sql", token=None, headers={"Authorization": f"Bearer {value}"}, content=sql)


def _answer(client: Client, value: str, sql: str) -> list[list[Any]]:
    reply = _ask(client, value, f"{sql} FORMAT JSONCompactEachRow")
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


@pytest.mark.parametrize("sql", FORBIDDEN)
@pytest.mark.parametrize("kind", TOKENS)
def test_what_a_token_may_not_read_it_may_not_by_another_name(
    versions: tuple[Client, dict[str, str]], kind: str, sql: str
) -> None:
    client, tokens = versions
    for name in ("other", "hidden", *(("mine",) if kind in {"events", "filtered"} else ("events",))):
        for written in (name, f"{name}__v{2 if name in {'hidden', 'mine'} else 3}"):
            reply = _ask(client, tokens[kind], sql.format(n=written))
            assert reply.status_code == 403, f"{written}: {reply.text}"
            assert "globex" not in reply.text


def test_a_filter_holds_by_both_names(versions: tuple[Client, dict[str, str]]) -> None:
    client, tokens = versions
    for name in ("events", "events__v3", "keyed", "keyed__v3"):
        assert _answer(client, tokens["filtered"], f"SELECT * FROM {name}") == [[0, "acme"]]
        for row, there in (((0, "acme"), 1), ((1, "globex"), 0)):
            assert _answer(client, tokens["filtered"], f"SELECT {row} IN {name}") == [[there]]
        assert _answer(client, tokens["filtered"], f"SELECT count() FROM {name} WHERE throwIf(id > 0) = 0") == [[1]]
        joined = _ask(client, tokens["filtered"], f"SELECT joinGet('{name}', 'tenant', toUInt64(1))")
        assert joined.status_code == 403, joined.text


def test_fixed_parameters_hold_by_both_names(versions: tuple[Client, dict[str, str]]) -> None:
    client, tokens = versions
    for name in ("mine", "mine__v2"):
        for value in ("acme", "globex"):
            told = client(
                "GET",
                "/v0/sql",
                token=None,
                params={"q": f"SELECT * FROM {name} FORMAT CSV", "tenant": value},
                headers={"Authorization": f"Bearer {tokens['fixed']}"},
            )
            assert (told.status_code, told.text) == (200, '0,"acme"\n')
        assert _answer(client, tokens["fixed"], f"SELECT (1, 'globex') IN {name}") == [[0]]


def test_no_condition_is_evaluated_before_a_pipe_s_own_by_either_name(versions: tuple[Client, dict[str, str]]) -> None:
    client, tokens = versions
    for name in ("mine", "mine__v2"):
        assert _answer(client, tokens["pipe"], f"SELECT count() FROM {name} WHERE throwIf(id > 0) = 0") == [[1]]


def test_who_may_read_it_reads_it_by_both_names(versions: tuple[Client, dict[str, str]]) -> None:
    client, tokens = versions
    for name in ("events", "events__v3"):
        assert _answer(client, tokens["events"], f"SELECT count() FROM {name}") == [[3]]
        assert _answer(client, tokens["events"], f"SELECT (1, 'globex') IN {name}") == [[1]]
    assert _answer(client, tokens["events"], "SELECT 1 IN a FROM (SELECT [1] AS a)") == [[1]]
