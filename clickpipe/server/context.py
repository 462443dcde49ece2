"""What every route needs from a request: the instance, the token, the workspace, the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request

from clickpipe.auth import allows, forbidden, keeps, may_know, require
from clickpipe.catalog import Live, Token
from clickpipe.concurrency import in_thread, of_workspace
from clickpipe.diagnostics import ClickpipeError, UnknownResource
from clickpipe.engine import work_for
from clickpipe.query import FORMATS, OutputFormat, QueryOptions, QueryService, compose_condition
from clickpipe.runtime import Instance, LiveData, StagingData, Workspace
from clickpipe.server.parameters import Values, header, of_pipe, one, output_settings


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: its token and the workspace that it belongs to."""

    token: Token
    workspace: Workspace

    def require(self, scope: str, resource: str = "", given: str = "") -> None:
        """Raise ClickpipeError 403 unless the token has the scope; the error names the resource as the caller did."""
        require(self.token, scope, resource, given)

    def require_any(self, *scopes: str) -> None:
        """Raise ClickpipeError 403 unless the token has one of the scopes, for any resource."""
        if not any(allows(self.token, scope) for scope in scopes) and not any(
            granted.startswith(f"{scope}:") for granted in self.token.scopes for scope in scopes
        ):
            require(self.token, scopes[0])

    def options(self, values: Values, output: OutputFormat = FORMATS["json"], pipeline: str = "") -> QueryOptions:
        """Return the options for this caller's queries. Raises ClickpipeError 400 for invalid output settings."""
        given = of_pipe(values)
        return QueryOptions(
            output,
            given,
            output_settings(values),
            pipeline,
            self.token.filters,
            self.token.fixed_params,
            limits=self.token.limits,
            caller=self.token.reader,
        )

    def queries(self, values: Values) -> QueryService:
        """Return the queries of the live deployment or, if requested, of staging. Raises ClickpipeError 404."""
        return self.data(values).queries

    def data(self, values: Mapping[str, str | list[str]]) -> LiveData | StagingData:
        """Return where to write rows: the live deployment or, if requested, staging. Raises ClickpipeError 404."""
        if one(values, "__tb__deployment") != "staging":
            return self.workspace.data
        if self.workspace.deployments.staging() is None:
            message = "There is no deployment in staging: create one with `clickpipe deploy --no-auto`."
            raise ClickpipeError(message, status=404, code="no_staging")
        return self.workspace.staging_data

    def may_read(self, kind: str, name: str) -> None:
        """Raise ClickpipeError 403 unless the token may read this `DATASOURCES`, `PIPES` or `SERVICE` resource."""
        if kind == "SERVICE":
            self.require("WORKSPACE:READ_ALL")
        else:
            self.require(f"{kind}:READ", name)

    def may_read_beside(self, written: str, kind: str, name: str) -> None:
        """Raise ClickpipeError 403 unless a condition on rows of `written` may read another resource.

        Whoever may write to a data source may also query its rows in conditions, as deleting reveals them. Filters and
        fixed parameters do not apply in conditions.
        """
        if kind == "DATASOURCES" and (name == written or allows(self.token, "DATASOURCES:CREATE", name)):
            return
        self.may_read(kind, name)
        if self.token.is_limited:
            message = f"A token with row filters cannot use a condition that reads '{name}'."
            raise forbidden(message)


def instance_of(request: Request) -> Instance:
    """Return the running instance."""
    found: Instance = request.app.state.instance
    return found


def caller(request: Request) -> Caller:
    """Return the caller. Raises ClickpipeError 403 for a missing or unknown token, 429 above a rate limit."""
    scheme, _, value = header(request, b"authorization").partition(" ")
    given = value.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")
    return caller_with(request, given)


def caller_with(request: Request, given: str) -> Caller:
    """Return the caller with this token. Raises like `caller`."""
    instance = instance_of(request)
    limits = instance.address_requests.take(request.client.host if request.client else "")
    token = instance.tokens.find(given)
    owner = instance.registry.owner(token.workspace_id)
    of_workspace.set(owner)
    work_for(owner)
    limits = (
        instance.token_requests.take((token.workspace_id, token.id), per_second=token.limits.get("rps", 0)) or limits
    )
    request.scope["state"]["headers"] |= limits
    request.scope["state"]["token"], request.scope["state"]["owner"] = token, owner
    request.scope["state"]["token_again"] = partial(_still, instance, given, token)
    return Caller(token, instance.workspace(token.workspace_id))


def _still(instance: Instance, given: str, token: Token) -> None:
    """Raise ClickpipeError 403 if a token was revoked, or its rights were reduced, since it was checked."""
    if not keeps(token, instance.tokens.find(given)):
        message = "The token's rights changed during this request: send it again."
        raise forbidden(message)


async def require_condition(request: Request, who: Caller, live: Live, written: str, condition: str) -> None:
    """Raise ClickpipeError 400 for an invalid condition on rows of `written`, 403 for one that reads too much."""
    if condition:
        allowed = partial(who.may_read_beside, written)
        await in_thread(compose_condition, instance_of(request).engine, live, condition, allowed)


def for_caller(request: Request, error: ClickpipeError) -> ClickpipeError:
    """Return an error as shown to its caller: suggesting only names that the token may know."""
    token = request.scope["state"].get("token")
    if not isinstance(error, UnknownResource) or token is None:
        return error
    return error.suggesting(partial(may_know, token))


def flag(request: Request, name: str) -> bool:
    """Return a boolean query parameter."""
    return request.query_params.get(name, "").lower() in {"1", "true", "yes"}
