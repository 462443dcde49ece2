"""schemathesis: no request that the exported OpenAPI, or the routes themselves, allow is answered with a 500."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import response_schema_conformance

from clickpipe.auth import ADMIN_TOKEN
from clickpipe.runtime import Instance
from clickpipe.server import create_app
from clickpipe.server.app import ROUTES
from tests.server.conftest import FILES

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
TRIES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
# What routes read of the query string; each is tried as any text.
QUERY = (
    *("name", "mode", "format", "q", "pipeline", "wait", "scope", "expiration_time", "expires_at", "url", "limit"),
    *("delete_condition", "replace_condition", "dry_run", "explain", "kind", "status", "include_deleted", "check"),
    *(
        "auto_promote",
        "output_format_json_quote_64bit_integers",
        "dialect_delimiter",
        "_mode",
        "query",
        "default_format",
    ),
    *("__tb__deployment", "attrs", "node_attrs", "populate_subset", "populate_condition", "truncate", "attempt"),
    *("charset", "csv_header", "dialect_header", "dialect_escapechar", "allow_missing_columns", "database"),
    *("replace_truncate_when_empty", "allow_destructive_operations", "json", "page", "page_size", "limit_rows"),
)
TOKEN = "t" * 40


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    with Instance(None) as instance:
        workspace = instance.default
        workspace.deploy(FILES)
        workspace.ingest("events", [{"id": "a", "amount": 1, "at": "2026-01-01 00:00:00"}])
        instance.catalog.tokens.put(workspace.id, ADMIN_TOKEN, ["ADMIN"], origin="default", value=TOKEN)
        instance.tokens.refresh()
        yield create_app(instance)


@pytest.fixture(scope="module")
def exported(app: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return schemathesis.openapi.from_asgi("/v0/pipes/openapi.json", app, headers=headers, config=SchemathesisConfig())


@pytest.fixture(scope="module")
def surface(app: Any) -> Any:
    schema = schemathesis.openapi.from_dict(surface_document(), config=SchemathesisConfig())
    schema.app = app
    return schema


def surface_document() -> dict[str, Any]:
    """An OpenAPI document of all routes, with all that they might read."""
    text = {"type": "string"}
    form = {"type": "object", "properties": {"csv": text}, "additionalProperties": text}
    body = {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": {}},
        "application/x-www-form-urlencoded": {"schema": {"type": "object", "additionalProperties": text}},
        "multipart/form-data": {"schema": form},
    }
    paths: dict[str, Any] = {}
    for method, route, _ in ROUTES:
        path = route.replace("{id:number}", "{id}")
        names = [part.split("}")[0] for part in path.split("{")[1:]]
        given = [{"name": n, "in": "path", "required": True, "schema": _of(n)} for n in names]
        given += [{"name": n, "in": "query", "required": False, "schema": _of(n)} for n in QUERY]
        operation = {"parameters": given, "responses": {"default": {"description": "any"}}}
        if method in {"POST", "PUT"}:
            operation |= {"requestBody": {"content": body}}
        paths.setdefault(path, {})[method.lower()] = operation
    return {"openapi": "3.1.0", "info": {"title": "all", "version": "1"}, "paths": paths}


def _of(name: str) -> dict[str, Any]:
    """Known names, so that more than the refusal of unknown ones is reached, or any text."""
    known = {"name": ["events", "totals", "snapshot", "strict"], "format": ["json", "csv", "ndjson", "parquet"]}
    known |= {"mode": ["append", "replace"], "q": ["SELECT 1", "SELECT * FROM events"], "pipeline": ["totals"]}
    return {"anyOf": [{"enum": known[name]}, {"type": "string"}]} if name in known else {"type": "string"}


def try_all(schema: Any, check: Callable[[Any, Any], None]) -> int:
    """Send many requests of each operation; return how many operations there are."""
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @TRIES
        @given(case=operation.as_strategy())
        def tried(case: Any) -> None:
            check(case, case.call(headers={"Authorization": f"Bearer {TOKEN}"}))

        tried()
    return len(operations)


def test_the_exported_document_is_true(exported: Any) -> None:
    def check(case: Any, response: Any) -> None:
        case.validate_response(response, checks=[not_a_server_error, response_schema_conformance])

    assert try_all(exported, check) == 2 * len(exported.raw_schema["paths"]) > 2  # GET and POST


def test_no_route_fails(surface: Any) -> None:
    def check(case: Any, response: Any) -> None:
        assert response.status_code != 500, (case.as_curl_command(), response.text)
        if response.status_code >= 400 and case.path != "/":  # there they are as ClickHouse writes them
            assert response.json()["error"]

    assert try_all(surface, check) == len(ROUTES)
