"""The server that a command calls: which one it is, and how its answers and failures are read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clickpipe.diagnostics import ClickpipeError

if TYPE_CHECKING:
    import httpx

_Function = TypeVar("_Function", bound=Callable[..., Any])
_TIMEOUT = 600.0
_SHORT = 3.0
FilePart = tuple[str, tuple[str, bytes, str]]


def server_options(function: _Function) -> _Function:
    """Add --host and --token to a command."""
    host = click.option("--host", metavar="URL", help="The server. Default: CLICKPIPE_HOST, else the one running here.")
    token = click.option(
        "--token", metavar="TOKEN", help="A token for it. Default: CLICKPIPE_TOKEN, else the one of that server."
    )
    return host(token(function))


@dataclass(frozen=True, slots=True)
class Client:
    """A server and a token of it; `staging`: its deployment that waits is asked, not the live one."""

    url: str
    token: str = field(repr=False)
    staging: bool = False

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        files: Sequence[FilePart] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        accept: Sequence[int] = (),
    ) -> httpx.Response:
        """Send one request. Raises ClickpipeError for a status of 400 and above (but those in `accept`)."""
        import httpx

        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "clickpipe-cli", **(headers or {})}
        try:
            response = httpx.request(
                method,
                self.url + path,
                params=[*params, *([("__tb__deployment", "staging")] if self.staging else [])],
                content=content,
                files=files,
                json=json,
                data=data,
                headers=headers,
                timeout=_TIMEOUT,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ClickpipeError(_unreachable(self.url, error), status=503, code="unreachable") from None
        if response.is_error and response.status_code not in accept:
            raise ClickpipeError(_reason(response), status=response.status_code)
        if _is_a_page(response):
            raise ClickpipeError(_no_server(response), status=response.status_code, code="no_server")
        return response

    def get(self, path: str, *params: tuple[str, str]) -> Any:
        """Return the JSON of a GET."""
        return self.request("GET", path, params=params).json()


def _unreachable(url: str, error: Exception) -> str:
    """Return why no server answers, and what to do: the other scheme, where one answers to that."""
    scheme, _, rest = url.partition("://")
    other = {"http": "https", "https": "http"}.get(scheme)
    if other is None:
        return f"{url} is not a server URL: it must begin with http:// or https://"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return f"this machine does not trust the certificate of {url}: name its CA certificate's file in SSL_CERT_FILE"
    if _answers(f"{other}://{rest}"):
        return f"the server at {rest} speaks {other}, not {scheme}: name it as {other}://{rest}"
    return (
        f"no server answers at {url} ({type(error).__name__}). "
        "Start one with `clickpipe dev` or `clickpipe serve`, or name another with --host."
    )


def _answers(url: str) -> bool:
    import httpx

    try:
        httpx.get(f"{url}/v0/health", timeout=_SHORT, verify=False)  # noqa: S501 - nothing is sent, nothing is taken
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return True


def _reason(response: httpx.Response) -> str:
    try:
        text = response.json()["error"]
    except (ValueError, KeyError, TypeError):
        if _is_a_page(response):
            return _no_server(response)
        text = response.text.strip()[:500]
    hint = " Is --token or CLICKPIPE_TOKEN right?" if response.status_code in {401, 403} else ""
    return f"{text or response.reason_phrase} (status {response.status_code}){hint}"


def _is_a_page(response: httpx.Response) -> bool:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower() == "text/html"


def _no_server(response: httpx.Response) -> str:
    """Return the message for an answer that is a web page: none of our routes sends one."""
    url = f"{response.url.scheme}://{response.url.netloc.decode()}"
    status = f"{response.status_code} {response.reason_phrase}".strip()
    return (
        f"{url} answered with a web page (status {status}): it is not a clickpipe server, or a proxy that cannot "
        "reach one. Check --host or CLICKPIPE_HOST."
    )


def connect(host: str | None, token: str | None, *, staging: bool = False) -> Client:
    """Return the server that is meant; see the help of `clickpipe`. Raises ClickpipeError without a token."""
    from clickpipe.config import DEFAULT_PORT, find_address, load_settings

    settings = load_settings()
    found = find_address(Path(settings.data_dir), settings.encryption_key)
    url = host or os.environ.get("CLICKPIPE_HOST") or (found.url if found else f"http://127.0.0.1:{DEFAULT_PORT}")
    url = url.strip()
    url = (url if "://" in url else f"http://{url}").rstrip("/").removesuffix("/v0")
    own = found.token if found and found.url == url else ""
    secret = (token or os.environ.get("CLICKPIPE_TOKEN") or own).strip()  # a file's last line end is no part of it
    if not secret:
        message = (
            f"no token for {url}: use --token, or set CLICKPIPE_TOKEN. "
            "In the folder of a running `clickpipe dev` it is found automatically."
        )
        raise ClickpipeError(message, status=403, code="no_token")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        message = "this is no token: it has characters that no token has. Is --token or CLICKPIPE_TOKEN right?"
        raise ClickpipeError(message, status=403, code="no_token")
    return Client(url, secret, staging)
