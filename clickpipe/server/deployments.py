"""Deployments: `POST /v1/deploy`, `GET /v1/deployments…`, in the shapes that published clients poll."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.catalog import Deployment, DeploymentStatus
from clickpipe.deploy import Plan, Prepared
from clickpipe.diagnostics import ClickpipeError, ProjectError, as_dict
from clickpipe.project import decode
from clickpipe.runtime import Workspace
from clickpipe.server.context import caller, flag, instance_of

_MAX_FILES = 10_000
_SEED = {"id": "0", "status": "data_ready", "live": True, "created_at": "2000-01-01 00:00:00.000000"}


async def post_deploy(request: Request) -> JSONResponse:
    """Compile, plan, and unless `check=true` apply and promote the whole project in the request."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    check = flag(request, "check")
    if not check and not flag(request, "auto_promote"):
        message = "Deployments that wait in staging are not supported yet: send auto_promote=true."
        raise ClickpipeError(message, code="staging_unsupported")
    files = await _project_files(request)
    destructive = flag(request, "allow_destructive_operations")
    try:
        prepared = await asyncio.to_thread(who.workspace.prepare, files, allow_destructive=destructive)
    except ProjectError as error:
        return _refused({}, _errors(error), [as_dict(d, error.sources) for d in error.diagnostics])
    plan = prepared.plan
    if plan.errors:
        return _refused(plan.as_dict(), [], [])
    if check or plan.is_empty:
        result = "no_changes" if plan.is_empty else "success"
        return JSONResponse({"result": result, "deployment": _preview(who.workspace, plan)})
    deployment = who.workspace.start(prepared)
    await _apply(request, who.workspace, deployment, prepared)
    found = instance_of(request).catalog.deployment(who.workspace.id, deployment.id)
    assert found is not None  # noqa: S101 - deployments are never removed
    failed = found.status is DeploymentStatus.FAILED
    reply = {"result": "failed" if failed else "success", "deployment": _reply(found)}
    return JSONResponse(reply, status_code=400 if failed else 200)


async def _project_files(request: Request) -> dict[str, str]:
    async with request.form(max_files=_MAX_FILES, max_fields=_MAX_FILES) as form:
        files: dict[str, str] = {}
        for name, part in form.multi_items():
            if name != "data_project://" or not isinstance(part, UploadFile):
                continue
            file = part.filename or ""
            try:
                files[file] = decode(await part.read())
            except UnicodeDecodeError:
                message = f"The file '{file}' is not UTF-8 text."
                raise ClickpipeError(message, code="broken_file") from None
    if not files:
        message = "The request has no project files: send them as parts named data_project://"
        raise ClickpipeError(message, code="no_files")
    return files


async def _apply(request: Request, workspace: Workspace, deployment: Deployment, prepared: Prepared) -> None:
    """Apply as a job; wait for it a little, so that most deployments are done when the reply is sent."""
    instance = instance_of(request)

    def work(_report: object) -> Mapping[str, Any]:
        workspace.apply(deployment, prepared)
        return {}

    job = instance.jobs.submit(workspace.id, "deployment", str(deployment.id), work)
    await asyncio.to_thread(instance.jobs.wait, job.id, instance.settings.deploy_wait_seconds)


def _errors(error: ProjectError) -> list[dict[str, str]]:
    """Return each error with its file; the text has line and column."""
    found = []
    for diagnostic in error.diagnostics:
        if diagnostic.severity == "error":
            at = error.sources.position(diagnostic.span)
            hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
            text = f"{at.line}:{at.column}: [{diagnostic.code}] {diagnostic.message}{hint}"
            found.append({"filename": diagnostic.span.file, "error": text})
    return found


def _refused(plan: Mapping[str, Any], errors: list[dict[str, str]], diagnostics: list[dict[str, Any]]) -> JSONResponse:
    deployment = {"id": "", "status": "failed", "live": False, "feedback": [], **plan}
    deployment |= {"errors": errors, "diagnostics": diagnostics}
    return JSONResponse({"result": "failed", "deployment": deployment, "errors": errors}, status_code=400)


def _preview(workspace: Workspace, plan: Plan) -> dict[str, Any]:
    live = workspace.live
    number = str(live.deployment_id) if live else "0"
    return {**_SEED, "id": number, "errors": [], **plan.as_dict()}


def _reply(deployment: Deployment) -> dict[str, Any]:
    return {
        "id": str(deployment.id),
        "status": deployment.status.value,
        "live": deployment.live,
        "created_at": deployment.created_at,
        "errors": [],
        **deployment.summary,
    }


async def list_deployments(request: Request) -> JSONResponse:
    """Answer `GET /v1/deployments`: oldest first, deleted ones only when asked for."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    gone = {DeploymentStatus.DELETED, DeploymentStatus.FAILED}
    everything = flag(request, "include_deleted")
    found = [
        {"id": str(d.id), "status": d.status.value, "live": d.live, "created_at": d.created_at}
        for d in instance_of(request).catalog.deployments(who.workspace.id)
        if everything or d.status not in gone
    ]
    return JSONResponse({"deployments": found if who.workspace.live else [_SEED, *found]})


async def get_deployment(request: Request) -> JSONResponse:
    """Answer `GET /v1/deployments/<id>`, also for deleted ones."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    number = request.path_params["id"]
    if number == 0:
        live = who.workspace.live is None
        return JSONResponse({"deployment": {**_SEED, "live": live, "status": "data_ready" if live else "deleted"}})
    found = instance_of(request).catalog.deployment(who.workspace.id, number)
    if found is None:
        message = f"The deployment {number} does not exist"
        raise ClickpipeError(message, status=404, code="not_found")
    return JSONResponse({"deployment": _reply(found)})
