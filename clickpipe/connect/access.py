"""What opens the buckets of a connection: where its service is, and how its requests are signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from clickpipe.connect.google import ServiceAccount, Tokens
from clickpipe.connect.signing import Keys, plain_url, signed_url
from clickpipe.diagnostics import ClickpipeError

_REGION = re.compile(r"[a-z0-9-]{1,40}")
_HOST = re.compile(r"[a-z0-9.:\[\]-]{1,255}")
_GCS = "https://storage.googleapis.com"
_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")
_HELP = {
    "AccessDenied": "the key may not do that",
    "InvalidAccessKeyId": "there is no such access key",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "the file is gone",
    "PermanentRedirect": "the bucket is in another region: see S3_REGION",
    "PreconditionFailed": "the file has changed meanwhile",
    "SignatureDoesNotMatch": "the secret is not that of the access key",
}

Access = Keys | ServiceAccount


class Door:
    """Signs the requests to one bucket. Used by one thread at a time."""

    def __init__(self, endpoint: str, bucket: str, access: Access, *, writes: bool = False) -> None:
        """Sign for `bucket` at `endpoint`; `writes` if not only to read."""
        self._endpoint, self._bucket, self._access = endpoint, bucket, access
        self._tokens = Tokens(access, writes=writes) if isinstance(access, ServiceAccount) else None

    def signed(
        self, method: str, key: str, parameters: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[str, dict[str, str]]:
        """Return the URL and headers of a request for a key ('' is the bucket itself). Raises ClickpipeError."""
        path = f"/{self._bucket}{'/' if key else ''}{key}"
        if self._tokens is not None:
            url = plain_url(self._endpoint, path, parameters)
            return url, {**headers, "Authorization": f"Bearer {self._tokens.get()}"}
        assert isinstance(self._access, Keys)  # noqa: S101 - the other kind has tokens
        return signed_url(self._endpoint, path, parameters, self._access, datetime.now(UTC), method=method), {**headers}


def explain(body: bytes) -> str:
    """Return what an error of S3 says: its code, and what that means."""
    found = _CODE.search(body)
    if found is None:
        return ""
    code = found[1].decode()
    return f"{code}, {_HELP[code]}" if code in _HELP else code


def of_bucket(error: ClickpipeError) -> ClickpipeError:
    """Return an error about a URL as one about the bucket."""
    message = error.message.replace("The URL", "The bucket", 1)
    return ClickpipeError(message, status=error.status, code=error.code)


def access_of(options: Mapping[str, str]) -> tuple[str, Access]:
    """Return the address of a connection's service, and what opens its buckets. Raises ClickpipeError 400."""
    try:
        return _access_of(options)
    except KeyError as error:
        raise ClickpipeError(f"The connection has no {error.args[0]}.", code="bad_connection") from None


def _access_of(options: Mapping[str, str]) -> tuple[str, Access]:
    if "GCS_HMAC_ACCESS_ID" in options:
        return _GCS, Keys(options["GCS_HMAC_ACCESS_ID"], options["GCS_HMAC_SECRET"], "auto")
    if "GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON" in options:
        return _GCS, ServiceAccount.of(options["GCS_SERVICE_ACCOUNT_CREDENTIALS_JSON"])
    region = options.get("S3_REGION", "")
    if not _REGION.fullmatch(region):
        message = "S3_REGION is no region, such as eu-west-1."
        raise ClickpipeError(message, code="bad_connection")
    keys = Keys(options["S3_ACCESS_KEY"], options["S3_SECRET"], region)
    return _endpoint(options.get("S3_ENDPOINT", ""), region), keys


def _endpoint(given: str, region: str) -> str:
    """Return the address of an S3 service, such as https://storage.example.com. Raises ClickpipeError 400."""
    if not given:
        return f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    message = "S3_ENDPOINT is an address such as https://storage.example.com, without a path."
    wrong = ClickpipeError(message, code="bad_connection")
    try:
        parts = urlsplit(given.lower())
        host = parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")
        named = parts.hostname is not None and (parts.port is not None or not host.endswith(":"))
    except ValueError:  # brackets that do not fit, a port that is no number
        raise wrong from None
    beyond = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in {"http", "https"} or not named or not _HOST.fullmatch(host) or beyond:
        raise wrong
    return f"{parts.scheme}://{host}"
