"""The ASGI application: routes and middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from clickpipe.diagnostics import ClickpipeError
from clickpipe.runtime import Instance
from clickpipe.server.clickhouse import clickhouse_query, ping
from clickpipe.server.compression import Compression
from clickpipe.server.connections import list_connectors, post_check
from clickpipe.server.datasources import get_data_source, get_dependencies, list_data_sources
from clickpipe.server.deployments import (
    delete_deployment,
    get_deployment,
    list_deployments,
    post_build,
    post_deploy,
    promote_deployment,
)
from clickpipe.server.direct import Direct
from clickpipe.server.events import post_events
from clickpipe.server.imports import (
    get_quarantine,
    get_rejected,
    post_analyze,
    post_datasources,
    post_delete,
    post_rebuild,
    post_rejected,
    post_replay,
    post_rows,
    post_truncate,
)
from clickpipe.server.jobs import cancel_job, get_job, list_jobs, retry_job
from clickpipe.server.login import get_logged_in, get_login, post_login
from clickpipe.server.middleware import GeneralRules, on_bug, on_clickpipe_error, on_gone, on_http_error
from clickpipe.server.misc import (
    get_example,
    get_health,
    get_metrics,
    get_ready,
    get_version,
    list_regions,
)
from clickpipe.server.pipes import (
    call_endpoint,
    get_explain,
    get_openapi,
    get_pipe,
    list_pipes,
    pause_copy,
    post_copy,
    post_population,
    resume_copy,
)
from clickpipe.server.reading import get_reading, post_sample, post_start, post_stop, post_sync, put_reading
from clickpipe.server.sinks import pause_sink, post_sink, resume_sink
from clickpipe.server.sql import query_sql
from clickpipe.server.tokens import delete_token, get_token, list_tokens, post_token, put_token, refresh_token
from clickpipe.server.variables import delete_variable, get_variable, list_variables, post_variable, put_variable
from clickpipe.server.workspaces import (
    delete_preview,
    delete_workspace,
    get_auth,
    get_local_tokens,
    get_preview,
    get_workspace,
    list_previews,
    list_workspaces,
    post_preview,
    post_workspace,
)

_Endpoint = Callable[[Request], Awaitable[Response]]


class _Number(IntegerConvertor):
    """A number that fits the catalog: longer ones in a path match no route."""

    regex = "[0-9]{1,18}"


class _Ending(StringConvertor):
    """The part after the last dot, matched in linear time, where `[^/]+` would try each of 60,000 dots."""

    regex = "[^/.]++"


register_url_convertor("number", _Number())
register_url_convertor("ending", _Ending())

ROUTES: tuple[tuple[str, str, _Endpoint], ...] = (
    ("POST", "/v0/events", post_events),
    ("GET", "/v0/pipes/openapi.json", get_openapi),
    ("GET", "/v0/pipes/{name}.{format}", call_endpoint),
    ("POST", "/v0/pipes/{name}.{format}", call_endpoint),
    ("GET", "/v0/pipes", list_pipes),
    ("GET", "/v1/pipes", list_pipes),
    ("GET", "/v1/pipes/{name}.{format}", call_endpoint),
    ("GET", "/v0/pipes/{name}/explain", get_explain),
    ("GET", "/v0/pipes/{name}", get_pipe),
    ("POST", "/v0/pipes/{name}/copy", post_copy),
    ("POST", "/v0/pipes/{name}/nodes/{node}/population", post_population),
    ("POST", "/v0/pipes/{name}/copy/pause", pause_copy),
    ("POST", "/v0/pipes/{name}/copy/resume", resume_copy),
    ("POST", "/v0/pipes/{name}/sink", post_sink),
    ("POST", "/v0/pipes/{name}/nodes/{node}/sink", post_sink),
    ("POST", "/v0/pipes/{name}/sink/pause", pause_sink),
    ("POST", "/v0/pipes/{name}/sink/resume", resume_sink),
    ("GET", "/v0/sql", query_sql),
    ("POST", "/v0/sql", query_sql),
    ("GET", "/v0/datasources", list_data_sources),
    ("GET", "/v0/datasources/{name}", get_data_source),
    ("POST", "/v0/datasources", post_datasources),
    ("POST", "/v0/analyze", post_analyze),
    ("POST", "/v0/datasources/{name}/delete", post_delete),
    ("POST", "/v0/datasources/{name}/truncate", post_truncate),
    ("POST", "/v0/datasources/{name}/stop", post_stop),
    ("POST", "/v0/datasources/{name}/start", post_start),
    ("POST", "/v0/datasources/{name}/scheduling/runs", post_sync),
    ("POST", "/v0/datasources/{name}/sample", post_sample),
    ("GET", "/v0/datasources/{name}/scheduling/state", get_reading),
    ("PUT", "/v0/datasources/{name}/scheduling/state", put_reading),
    ("POST", "/v1/datasources/{name}/append", post_rows),
    ("POST", "/v1/datasources/{name}/replace", post_rows),
    ("POST", "/v1/datasources/{name}/delete", post_delete),
    ("POST", "/v1/datasources/{name}/truncate", post_truncate),
    ("GET", "/v1/datasources/{name}/quarantine", get_quarantine),
    ("POST", "/v1/datasources/{name}/quarantine/replay", post_replay),
    ("GET", "/v1/rejected", get_rejected),
    ("POST", "/v1/rejected/replay", post_rejected),
    ("POST", "/v1/connectors/{name}/check", post_check),
    ("POST", "/v1/materializations/{name}/populate", post_rebuild),
    ("GET", "/v0/tokens", list_tokens),
    ("POST", "/v0/tokens", post_token),
    ("GET", "/v0/tokens/{name}", get_token),
    ("PUT", "/v0/tokens/{name}", put_token),
    ("DELETE", "/v0/tokens/{name}", delete_token),
    ("POST", "/v0/tokens/{name}/refresh", refresh_token),
    ("GET", "/v0/variables", list_variables),
    ("POST", "/v0/variables", post_variable),
    ("GET", "/v0/variables/{name}", get_variable),
    ("PUT", "/v0/variables/{name}", put_variable),
    ("DELETE", "/v0/variables/{name}", delete_variable),
    ("GET", "/v0/workspace", get_workspace),
    ("GET", "/v1/workspace", get_workspace),
    ("GET", "/v0/user/workspaces", list_workspaces),
    ("GET", "/v1/user/workspaces", list_workspaces),
    ("POST", "/v1/workspaces", post_workspace),
    ("DELETE", "/v1/workspaces/{name}", delete_workspace),
    ("GET", "/v0/environments", list_previews),
    ("GET", "/v1/environments", list_previews),
    ("POST", "/v0/environments", post_preview),
    ("POST", "/v1/environments", post_preview),
    ("GET", "/v0/environments/{name}", get_preview),
    ("GET", "/v1/environments/{name}", get_preview),
    ("DELETE", "/v0/environments/{name}", delete_preview),
    ("DELETE", "/v1/environments/{name}", delete_preview),
    ("GET", "/tokens", get_local_tokens),
    ("GET", "/v0/auth", get_auth),
    ("GET", "/v0/jobs", list_jobs),
    ("GET", "/v0/jobs/{id}", get_job),
    ("POST", "/v0/jobs/{id}/cancel", cancel_job),
    ("POST", "/v0/jobs/{id}/retry", retry_job),
    ("POST", "/v1/deploy", post_deploy),
    ("POST", "/v1/build", post_build),
    ("GET", "/v1/deployments", list_deployments),
    ("GET", "/v1/deployments/{id:number}", get_deployment),
    ("DELETE", "/v1/deployments/{id:number}", delete_deployment),
    ("POST", "/v1/deployments/{id:number}/set-live", promote_deployment),
    ("GET", "/", clickhouse_query),
    ("POST", "/", clickhouse_query),
    ("GET", "/ping", ping),
    ("GET", "/v0/health", get_health),
    ("GET", "/version", get_version),
    ("GET", "/v0/regions", list_regions),
    ("GET", "/api/cli-login", get_login),
    ("POST", "/api/cli-login", post_login),
    ("GET", "/clickpipe/local/cli-login", get_logged_in),
    ("GET", "/v0/dependencies", get_dependencies),
    ("GET", "/v0/connectors", list_connectors),
    ("GET", "/examples/query.http", get_example),
    ("GET", "/v0/ready", get_ready),
    ("GET", "/metrics", get_metrics),
)


def route(method: str, path: str, endpoint: _Endpoint) -> Route:
    """Return a route whose pattern matches in time linear in the path's length."""
    return Route(path.replace("{format}", "{format:ending}"), endpoint, methods=[method])


def create_app(instance: Instance) -> ASGIApp:
    """Return the ASGI application that serves an instance."""
    routes = [route(*one) for one in ROUTES]
    app = Starlette(
        routes=routes,
        exception_handlers={
            ClickpipeError: on_clickpipe_error,
            HTTPException: on_http_error,
            ClientDisconnect: on_gone,
            Exception: on_bug,
        },
    )
    app.router.redirect_slashes = False
    app.state.instance = instance
    paths: dict[object, str] = {endpoint: path for _, path, endpoint in reversed(ROUTES)}
    plain = [route for route in routes if "{" not in route.path]
    direct = Direct(app, plain, [route for route in routes if route.endpoint is call_endpoint])
    packed = Compression(direct, instance.settings.compress_min_bytes)
    return GeneralRules(packed, instance, paths)  # outermost: its error responses get headers, too
