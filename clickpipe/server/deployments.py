"""Deployments: `POST /v1/deploy`, `GET /v1/deployments…`, in the shapes that published clients expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse

from clickpipe.catalog import Deployment, DeploymentStatus, resource_id
from clickpipe.concurrency import in_thread
from clickpipe.deploy import Plan, Prepared
from clickpipe.diagnostics import ClickpipeError, ProjectError, as_dict
from clickpipe.jobs import JobCancelled, Report
from clickpipe.project import decode
from clickpipe.runtime import Workspace
from clickpipe.server.context import Caller, caller, flag, instance_of
from clickpipe.server.forms import multipart
from clickpipe.server.jobs import ended, started

_MAX_FILES = 10_000
_SEED = {"id": "0", "status": "data_ready", "live": True, "created_at": "2000-01-01 00:00:00.000000"}


async def post_deploy(request: Request) -> JSONResponse:
    """Answer `POST /v1/deploy`: compile and plan the project in the request, and apply it unless `check=true`.

    With `auto_promote` it becomes live; without, it waits in staging, next to the live deployment.
    """
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    check = flag(request, "check")
    files = await _project_files(request)
    destructive = flag(request, "allow_destructive_operations")
    try:
        prepared = await in_thread(
            who.workspace.deployments.prepare,
            files,
            allow_destructive=destructive,
            skip_incomplete=flag(request, "skip_incomplete"),
        )
    except ProjectError as error:
        return _refused({}, _errors(error), [as_dict(d, error.sources) for d in error.diagnostics])
    plan = prepared.plan
    if plan.errors:
        return _refused(plan.as_dict(), [], [])
    if check or plan.is_empty:
        result = "no_changes" if plan.is_empty else "success"
        return JSONResponse({"result": result, "deployment": _preview(who.workspace, plan)})
    deployment = who.workspace.deployments.start(prepared)
    promoted = flag(request, "auto_promote")
    await _apply(request, who, deployment, prepared, promoted=promoted)
    found = instance_of(request).catalog.deployment(who.workspace.id, deployment.id)
    assert found is not None  # noqa: S101 - deployments are never removed
    failed = found.status is DeploymentStatus.FAILED
    reply = {"result": "failed" if failed else "success", "deployment": _reply(found)}
    return JSONResponse(reply, status_code=400 if failed else 200)


async def post_build(request: Request) -> JSONResponse:
    """Answer `POST /v1/build`: apply the project in the request immediately; for development.

    Data sources whose files are gone are removed with their rows.
    """
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    files = await _project_files(request)
    try:
        prepared = await in_thread(who.workspace.deployments.prepare, files, allow_destructive=True)
    except ProjectError as error:
        return JSONResponse({"result": "failed", "errors": _errors(error)}, status_code=400)
    plan = prepared.plan
    if plan.errors:
        errors = [{"filename": f.resource, "error": f.message} for f in plan.errors]
        return JSONResponse({"result": "failed", "errors": errors}, status_code=400)
    if not plan.is_empty:
        deployment = who.workspace.deployments.start(prepared)
        await in_thread(who.workspace.deployments.apply, deployment, prepared)
    return JSONResponse({"result": "success", "build": _build(who, plan)})


def _build(who: Caller, plan: Plan) -> dict[str, Any]:
    project, changes = who.workspace.queries.live().compiled.project, plan.as_dict()
    connectors: dict[str, list[str]] = {f"{kind}_data_connector_names": [] for kind in ("new", "changed", "deleted")}
    named = {
        f"{kind}s": [{"id": resource_id(who.workspace.id, kind, name), "name": name} for name in sorted(found)]
        for kind, found in (("datasource", project.data_sources), ("pipe", project.pipes))
    }
    number = str(who.workspace.queries.live().deployment_id)
    return {"id": number, **changes, **connectors, **named, "data_linkers": []}


async def _project_files(request: Request) -> dict[str, str]:
    most = instance_of(request).settings.max_project_bytes
    message = f"The project is larger than {most} bytes: see the setting max_project_bytes."
    too_large = ClickpipeError(message, status=413, code="project_too_large")
    async with multipart(request, most, too_large, files=_MAX_FILES, fields=_MAX_FILES) as form:
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


async def _apply(request: Request, who: Caller, deployment: Deployment, prepared: Prepared, *, promoted: bool) -> None:
    """Apply as a job; wait a little, so that most deployments are complete when the response is sent."""
    instance, workspace = instance_of(request), who.workspace

    def work(report: Report) -> Mapping[str, Any]:
        def progress(text: str) -> None:
            report({"progress": text})

        try:
            if promoted:
                workspace.deployments.apply(
                    deployment, prepared, progress, keep_seconds=instance.settings.keep_previous_seconds
                )
            else:
                workspace.deployments.stage(deployment, prepared, progress)
        except JobCancelled:
            if workspace.live is None or workspace.live.deployment_id != deployment.id:
                raise
        return {}

    job = instance.jobs.submit(workspace.id, "deployment", str(deployment.id), work)
    started(request, who, job)
    await ended(request, job, instance.settings.deploy_wait_seconds)


def _errors(error: ProjectError) -> list[dict[str, str]]:
    """Return each error with its file; the text starts with line and column."""
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
    """Answer `GET /v1/deployments`, oldest first; deleted and kept ones only if requested.

    Published clients wait until a replaced deployment is no longer listed.
    """
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    gone = {DeploymentStatus.DELETED, DeploymentStatus.FAILED}
    everything = flag(request, "include_deleted")
    found = [
        deployment
        for deployment, kept in instance_of(request).catalog.listed_deployments(who.workspace.id)
        if everything or deployment["live"] or not (deployment["status"] in gone or kept)
    ]
    return JSONResponse({"deployments": found if who.workspace.live else [_SEED, *found]})


async def get_deployment(request: Request) -> JSONResponse:
    """Answer `GET /v1/deployments/<id>`, even for a deleted one."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    number = request.path_params["id"]
    if number == 0:
        live = who.workspace.live is None
        return JSONResponse({"deployment": {**_SEED, "live": live, "status": "data_ready" if live else "deleted"}})
    found = _found(request, who, number)
    running = [j for j in instance_of(request).catalog.jobs.newest(who.workspace.id) if j.status == "working"]
    mine = (j for j in running if (j.kind, j.resource) == ("deployment", str(number)))
    progress = next((job.result.get("progress") for job in mine), "")
    return JSONResponse({"deployment": {**_reply(found), **({"progress": progress} if progress else {})}})


async def promote_deployment(request: Request) -> JSONResponse:
    """Answer `POST /v1/deployments/<id>/set-live`: promote staging, or roll back to the previous deployment."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    number = request.path_params["id"]
    if who.workspace.live is None or who.workspace.live.deployment_id != number:
        await in_thread(who.workspace.deployments.promote, number)
    return JSONResponse({"result": "success", "deployment": _reply(_found(request, who, number))})


async def delete_deployment(request: Request) -> JSONResponse:
    """Answer `DELETE /v1/deployments/<id>`: discard staging, or the previous deployment."""
    who = caller(request)
    who.require("WORKSPACE:DEPLOY")
    number = request.path_params["id"]
    if who.workspace.live is not None and who.workspace.live.deployment_id == number:
        message = f"Deployment {number} is live: promote another one first."
        raise ClickpipeError(message, code="deployment_is_live")
    found = None if number == 0 else _found(request, who, number)
    if found is not None and found.status not in {DeploymentStatus.DELETED, DeploymentStatus.FAILED}:
        await in_thread(who.workspace.deployments.discard, number)
    shown = {**_SEED, "live": False, "status": "deleted"} if number == 0 else _reply(_found(request, who, number))
    return JSONResponse({"result": "success", "deployment": shown})


def _found(request: Request, who: Caller, number: int) -> Deployment:
    found = instance_of(request).catalog.deployment(who.workspace.id, number)
    if found is None:
        message = f"The deployment {number} does not exist"
        raise ClickpipeError(message, status=404, code="not_found")
    return found
