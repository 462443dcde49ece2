"""`tb login`: a page that asks for a token, and the requests of the command line behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from clickpipe.auth import ADMIN, allows, forbidden
from clickpipe.diagnostics import ClickpipeError
from clickpipe.server.context import caller_with, instance_of
from clickpipe.server.parameters import read_body

_COMMAND_LINE = "http://localhost:49160/"  # where `tb login` waits for the browser's redirect
_CODE = re.compile(r"[A-Z0-9]{8}")
_MOST_BYTES = 10_000
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
        f"form-action 'self' {_COMMAND_LINE.rstrip('/')}; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>clickpipe: log in</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto; padding: 0 1rem }}
input, button {{ font: inherit; padding: .4rem .6rem; width: 100%; box-sizing: border-box; margin: .3rem 0 }}
.error {{ color: #a00 }} code {{ font-size: 1.4rem; letter-spacing: .1em }}</style></head>
<body><h1>{title}</h1>{body}</body></html>"""


async def get_login(request: Request) -> Response:
    """Answer `GET /api/cli-login`: the page or, for the command line (`cliCode`, `code`), the approved tokens."""
    given = request.query_params
    logins = instance_of(request).logins
    if (code := given.get("cliCode", "")) or ((code := given.get("code", "")) and given.get("method") != "code"):
        instance_of(request).address_requests.take(request.client.host if request.client else "")
        tokens = logins.take(code) if request.method == "GET" else None  # HEAD does not consume them
        if tokens is None:
            message = "Nobody has approved this login yet: open the page in a browser."
            raise ClickpipeError(message, status=404, code="not_approved")
        return JSONResponse(tokens, headers={"Cache-Control": "no-store"})
    return _form(given)


async def post_login(request: Request) -> Response:
    """Answer `POST /api/cli-login`: approve a login, with the admin token from the form."""
    body = await read_body(request, _MOST_BYTES)
    given = dict(parse_qsl(body.decode(errors="replace")))
    try:
        tokens = _tokens(request, given)
    except ClickpipeError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        return _form(given, error.message, error.status)
    logins = instance_of(request).logins
    if given.get("method") == "code":
        code = given.get("code", "").replace("-", "")
        if not _CODE.fullmatch(code):
            return _form(given, "The code shown by the command line has eight letters and digits.", 400)
        logins.approve(tokens, code)
        return _page("Logged in", "<p>Go back to the command line.</p>")
    back = {"code": logins.approve(tokens), "workspace": given.get("workspace", ""), "region": "local"}
    return RedirectResponse(f"{_COMMAND_LINE}?{urlencode({**back, 'provider': 'clickpipe'})}", 303, _HEADERS)


async def get_logged_in(_request: Request) -> Response:
    """Answer with the page to which the command line finally sends the browser."""
    return _page("Logged in", "<p>Go back to the command line.</p>")


def _tokens(request: Request, given: Mapping[str, str]) -> dict[str, str]:
    """Return the command line's tokens. Raises ClickpipeError 403, or 404 for an unknown workspace."""
    value = given.get("token", "").strip()
    who, workspaces = caller_with(request, value), instance_of(request).workspaces
    if not allows(who.token, ADMIN):
        message = "This is not an admin token: `clickpipe token ls` lists those."
        raise forbidden(message)
    own, name = who.workspace, given.get("workspace", "")
    found = own if name in {"", own.name, own.id} else None
    if found is None and own is not instance_of(request).default:  # which others exist is not revealed
        message = f"This is a token of the workspace '{own.name}'."
        raise forbidden(message)
    found = found or workspaces.named(name)
    token = value if found is own else workspaces.admin_token(found).value
    return {"workspace_token": token, "user_token": value, "api_host": str(request.base_url).rstrip("/")}


def _form(given: Mapping[str, str], error: str = "", status: int = 200) -> Response:
    kept = {name: given[name] for name in ("method", "code", "workspace") if given.get(name)}
    fields = "".join(f'<input type="hidden" name="{name}" value="{escape(kept[name])}">' for name in kept)
    alert = f'<p class="error" role="alert">{escape(error)}</p>' if error else ""
    code = given.get("code", "").replace("-", "") if given.get("method") == "code" else ""
    shown = f"<p>Code: <code>{escape(f'{code[:4]}-{code[4:8]}')}</code>. Continue only if your command line has it.</p>"
    body = f"""{alert}<form method="post" action="/api/cli-login">{fields}{shown if code else ""}
<label>Admin token of this server<input type="password" name="token" required autofocus autocomplete="off"></label>
<button>Log the command line in</button></form><p>`clickpipe token ls` lists it.</p>"""
    return _page("Log the command line in", body, status)


def _page(title: str, body: str, status: int = 200) -> Response:
    return Response(_PAGE.format(title=title, body=body), status, _HEADERS, "text/html")
