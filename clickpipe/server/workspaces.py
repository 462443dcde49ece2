"""Workspaces and their previews, in the shapes of published clients."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.auth import ADMIN, allows, forbidden
from clickpipe.concurrency import in_thread
from clickpipe.deploy import Rows
from clickpipe.diagnostics import ClickpipeError, did_you_mean
from clickpipe.jobs import Report
from clickpipe.runtime import Instance, Workspace
from clickpipe.server.context import Caller, caller, flag, instance_of
from clickpipe.server.jobs import started
from clickpipe.server.parameters import form_values

# Values of `data`: the rows that a preview starts with; published clients know last_ and all_partitions.
_ROWS = {"": Rows.NONE, "none": Rows.NONE, "last_partition": Rows.LAST, "all_partitions": Rows.ALL, "all": Rows.ALL}
_TEST_PREFIX, _TEST_SECONDS = "Tinybird_Local_Test_", 3600.0  # `tb test` creates one each time, and leaves it behind
_LOCAL = {"127.0.0.1", "::1", "[::1]", "localhost"}
_HOST = re.compile(r"([A-Za-z0-9.]+|\[::1\])(?::\d{1,5})?")
# Headers of browsers and proxies that local programs do not send (node sends sec-fetch-mode, on its own).
_BROWSERS = ("origin", "referer", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user")
_PROXIES = (
    "via",
    "cf-",
    "cdn-",
    "fastly-",
    "fly-",
    "x-amz",
    "x-arr-",
    "x-azure-",
    "x-envoy-",
    "x-original-",
    "x-request-start",
)


async def get_workspace(request: Request) -> JSONResponse:
    """Answer `GET /v0/workspace` and `GET /v1/workspace`."""
    who = caller(request)
    sources = sorted(instance_of(request).settings.rules().copy_sources)
    return JSONResponse({**_shape(who.workspace), **_user(who), "limits": {}, "copy_sources": sources})


async def list_workspaces(request: Request) -> JSONResponse:
    """Answer `GET /v0/user/workspaces` and `GET /v1/user/workspaces`: those that the token may know.

    An admin token of the default workspace sees all, any other its own workspace; `with_environments` adds their
    previews, `only_environments` lists only these.
    """
    who, instance = caller(request), instance_of(request)
    previews = flag(request, "with_environments") or flag(request, "only_environments")
    shown = [
        {**_listed(instance, who, workspace), "current": workspace is who.workspace}
        for workspace in _known(instance, who)
        if (previews or not workspace.parent or workspace is who.workspace)
        and (workspace.parent or not flag(request, "only_environments"))
    ]
    organization = instance.workspaces.organization_id
    return JSONResponse({"id": who.workspace.id, "organization_id": organization, "workspaces": shown})


def _known(instance: Instance, who: Caller) -> list[Workspace]:
    if not allows(who.token, ADMIN):
        return [who.workspace]
    if who.workspace is instance.default:
        return list(instance.workspaces)
    return [who.workspace, *instance.workspaces.previews(who.workspace)]


def _listed(instance: Instance, who: Caller, workspace: Workspace) -> dict[str, Any]:
    admin = allows(who.token, ADMIN)
    token = instance.workspaces.admin_token(workspace).value if admin else ""
    shown = {**_shape(workspace), **_user(who), "token": token, "role": "admin" if admin else "viewer"}
    organization = {"id": instance.workspaces.organization_id, "name": "clickpipe"}
    return {**shown, "plan": "self-hosted", "members": [], "organization": organization}


def _shape(workspace: Workspace) -> dict[str, Any]:
    main = workspace.parent or None
    return {"id": workspace.id, "name": workspace.name, "main": main, "is_branch": bool(main)}


def _user(who: Caller) -> dict[str, Any]:
    return {"user_id": who.token.id, "user_email": "", "scope": "user" if allows(who.token, ADMIN) else "token"}


async def get_auth(request: Request) -> JSONResponse:
    """Answer `GET /v0/auth`: whether the token is valid."""
    who = caller(request)
    return JSONResponse({"is_valid": True, "is_user": allows(who.token, ADMIN)})


async def post_workspace(request: Request) -> JSONResponse:
    """Answer `POST /v1/workspaces`: create an empty workspace, with an admin token of the default workspace."""
    who, instance = caller(request), instance_of(request)
    _require_default(instance, who)
    name = (await _values(request)).get("name", "")
    seconds = _TEST_SECONDS if name.startswith(_TEST_PREFIX) else 0.0
    made = await in_thread(instance.workspaces.create, name, seconds=seconds)
    return JSONResponse(_listed(instance, who, made))


async def delete_workspace(request: Request) -> JSONResponse:
    """Answer `DELETE /v1/workspaces/<id or name>`: remove it with its rows.

    Needs an admin token of the default workspace, or of the workspace itself.
    """
    who, instance = caller(request), instance_of(request)
    who.require("ADMIN")
    given, found = request.path_params["name"], who.workspace
    if given not in {found.id, found.name}:
        _require_default(instance, who)
        found = instance.workspaces.named(given)
    await in_thread(instance.workspaces.delete, found)
    return JSONResponse({"ok": True, "id": found.id, "name": found.name})


def _require_default(instance: Instance, who: Caller) -> None:
    who.require("ADMIN")
    if who.workspace is not instance.default:
        message = "Creating and removing workspaces needs an admin token of the default workspace."
        raise forbidden(message)


async def _values(request: Request) -> dict[str, str]:
    """Return the parameters from the URL and the form."""
    return {**await form_values(request), **request.query_params}


# Previews, which published clients call `environments` or branches


async def list_previews(request: Request) -> JSONResponse:
    """Answer `GET /v0/environments` and `GET /v1/environments`: the previews of the token's workspace."""
    who, instance = caller(request), instance_of(request)
    who.require("ADMIN")
    expiries = {record.id: record for record in instance.catalog.workspaces()}
    shown = [
        {
            **_listed(instance, who, preview),
            "created_at": expiries[preview.id].created_at,
            "expires_at": expiries[preview.id].expires_at,
            "owner": "",
        }
        for preview in instance.workspaces.previews(_main(instance, who))
        if preview.id in expiries
    ]
    return JSONResponse({"environments": shown})


async def get_preview(request: Request) -> JSONResponse:
    """Answer `GET /v0/environments/<name or id>`."""
    who, instance = caller(request), instance_of(request)
    who.require("ADMIN")
    return JSONResponse(_listed(instance, who, _preview(instance, who, request.path_params["name"])))


async def post_preview(request: Request) -> JSONResponse:
    """Answer `POST /v0/environments` and `POST /v1/environments`: start a job that creates a preview.

    It starts as a copy of the workspace; `data` selects its rows: `all` (shared, not copied), `last_partition`, or
    none.
    """
    who, instance = caller(request), instance_of(request)
    who.require("ADMIN")
    values, main = await _values(request), _main(instance, who)
    name, data = values.get("name", ""), values.get("data", "")
    if data not in _ROWS:
        message = f"'data' must be all, last_partition or none, not '{data[:100]}'."
        raise ClickpipeError(message, code="bad_data")
    instance.workspaces.require_free(name, main.id)

    def work(_: Report) -> Mapping[str, Any]:
        made = instance.workspaces.preview(main, name, _ROWS[data])
        return {"name": made.name, "workspace_id": made.id}

    instance.workspaces.require_name(name)
    job = started(request, who, instance.jobs.submit(who.workspace.id, "branch", name, work))
    return JSONResponse({**job, "job": job}, status_code=202)


async def delete_preview(request: Request) -> JSONResponse:
    """Answer `DELETE /v0/environments/<id or name>`: remove a preview with its rows."""
    who, instance = caller(request), instance_of(request)
    who.require("ADMIN")
    found = _preview(instance, who, request.path_params["name"])
    await in_thread(instance.workspaces.delete, found)
    return JSONResponse({"ok": True, "id": found.id, "name": found.name})


def _main(instance: Instance, who: Caller) -> Workspace:
    """Return the workspace of the previews. Raises ClickpipeError 403 for a preview's own tokens."""
    if who.workspace.parent:
        name = instance.workspace(who.workspace.parent).name
        message = f"This is a token of the preview '{who.workspace.name}': use an admin token of '{name}'."
        raise forbidden(message)
    return who.workspace


def _preview(instance: Instance, who: Caller, name: str) -> Workspace:
    previews = instance.workspaces.previews(_main(instance, who))
    found = next((w for w in previews if name in {w.id, w.name}), None)
    if found is None:
        hint = did_you_mean(name, [w.name for w in previews])
        message = f"There is no preview '{name}'" + (f": {hint}" if hint else "")
        raise ClickpipeError(message, status=404, code="not_found")
    return found


def _is_of_others(header: str) -> bool:
    """Return whether a header is typical of browsers or proxies."""
    name = header.lower().replace("_", "-")
    return name.startswith((*_BROWSERS, *_PROXIES)) or "forward" in name or name.endswith(("-ip", "-host", "-client"))


async def get_local_tokens(request: Request) -> JSONResponse:
    """Answer `GET /tokens`, where `tb` in local mode gets the admin token, if the setting allows it.

    Only for programs on this machine, never for a page in a browser.
    """
    instance = instance_of(request)
    host = _HOST.fullmatch(request.headers.get("host", ""))
    client = request.client.host if request.client else ""
    others = request.scope["http_version"] == "1.0" or any(map(_is_of_others, request.headers))  # nginx uses 1.0
    if instance.settings.local_tokens != "on" or others or host is None or not {host[1], client} <= _LOCAL:
        message = "Tokens are revealed only to programs on this machine, and only if the setting local_tokens is on."
        raise forbidden(message)
    instance.workspaces.keep_local_tokens()
    value = instance.workspaces.admin_token(instance.default).value
    return JSONResponse({"user_token": value, "admin_token": value, "workspace_admin_token": value})
