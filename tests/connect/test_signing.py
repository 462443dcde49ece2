"""URLs are signed as Amazon's own library signs them."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, strategies as st

from clickpipe.connect.signing import Keys, signed_url

AT = datetime(2013, 5, 24, tzinfo=UTC)
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")


def test_the_example_of_the_documentation() -> None:
    found = signed_url("https://examplebucket.s3.amazonaws.com", "/test.txt", {}, KEYS, AT, 86400)
    assert found.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def theirs(url: str) -> str:
    request = AWSRequest("GET", url)
    signer = S3SigV4QueryAuth(Credentials(KEYS.access_key, KEYS.secret), "s3", KEYS.region, expires=3600)
    with patch("botocore.auth.get_current_datetime", return_value=AT.replace(tzinfo=None)):
        signer.add_auth(request)
    return str(request.url).rpartition("X-Amz-Signature=")[2]


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(TEXTS, st.dictionaries(st.sampled_from(["prefix", "list-type", "continuation-token"]), TEXTS, max_size=3))
def test_any_key_and_parameters(key: str, parameters: dict[str, str]) -> None:
    found = signed_url("https://storage.example.com:9000", f"/bucket/{key}", parameters, KEYS, AT)
    unsigned = "&".join(part for part in found.partition("?")[2].split("&") if not part.startswith("X-Amz-"))
    path = found.partition("?")[0]
    assert theirs(f"{path}?{unsigned}" if unsigned else path) == found.rpartition("X-Amz-Signature=")[2]


def test_no_secret_is_shown() -> None:
    assert KEYS.secret not in repr(KEYS)
    assert KEYS.secret not in signed_url("https://s3.amazonaws.com", "/b/k", {}, KEYS, AT)


@pytest.mark.parametrize("region", ["eu-west-1", "auto"])
def test_the_region_is_signed(region: str) -> None:
    found = signed_url("https://s3.amazonaws.com", "/b/k", {}, Keys("a", "b", region), AT)
    assert f"%2F{region}%2Fs3%2Faws4_request" in found
