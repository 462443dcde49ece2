"""A bucket for the tests of imports and sinks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from clickpipe.runtime import Instance
from tests.connect.buckets import TestBucket, serving


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    with serving() as url:
        yield url


@pytest.fixture
def lake(s3: str, instance: Instance, monkeypatch: pytest.MonkeyPatch) -> TestBucket:
    """A bucket of its own for each test; the instance may call it, and lists it whenever it is asked to."""
    allowed = replace(instance.settings, import_private_urls="allow", bucket_poll_seconds=0.0)
    monkeypatch.setattr(instance._services, "settings", allowed)
    return TestBucket(s3)
