"""A world of known ways in, on an instance of its own, for each module that tries them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clickpipe.runtime import Instance
from tests.security.known import World, known_world


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Instance(None) as instance, known_world(instance, tmp_path_factory.mktemp("host")) as found:
        yield found
