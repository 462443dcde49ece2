"""Signs URLs of S3 (Signature Version 4 in the query), which GCS accepts too.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key and its secret, for one region."""

    access_key: str = field(repr=False)
    secret: str = field(repr=False)
    region: str


def signed_url(
    endpoint: str,
    path: str,
    parameters: Mapping[str, str],
    keys: Keys,
    at: datetime,
    seconds: int = 3600,
    method: str = "GET",
) -> str:
    """Return a URL for a method that is valid for `seconds` from `at` (UTC). `path` is decoded, and begins with /."""
    root = urlsplit(endpoint)
    encoded = quote(path, safe="/~")
    day = at.strftime("%Y%m%d")
    scope = f"{day}/{keys.region}/s3/aws4_request"
    values = {
        **parameters,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key}/{scope}",
        "X-Amz-Date": at.strftime("%Y%m%dT%H%M%SZ"),
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(f"{quote(name, safe='~')}={quote(values[name], safe='~')}" for name in sorted(values))
    request = "\n".join([method, encoded, query, f"host:{root.netloc}", "", "host", "UNSIGNED-PAYLOAD"])
    text = "\n".join([_ALGORITHM, values["X-Amz-Date"], scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in (day, keys.region, "s3", "aws4_request"):
        key = _mac(key, part)
    return f"{root.scheme}://{root.netloc}{encoded}?{query}&X-Amz-Signature={_mac(key, text).hex()}"


def plain_url(endpoint: str, path: str, parameters: Mapping[str, str]) -> str:
    """Return a URL that is not signed. `path` is decoded, and begins with /."""
    query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in parameters.items())
    return f"{endpoint}{quote(path, safe='/~')}{'?' if query else ''}{query}"


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
