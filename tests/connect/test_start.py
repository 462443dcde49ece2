"""Where reading begins."""

from __future__ import annotations

import pytest

from clickpipe.connect.start import Committed, begin


@pytest.mark.parametrize(
    ("stored", "committed", "wanted"),
    [
        (None, None, None),
        (None, Committed(7), 7),
        (None, Committed(7, "own"), 7),
        (5, None, 5),
        (5, Committed(5, "own"), 5),
        (5, Committed(3, "own"), 5),  # killed before it could commit
        (5, Committed(9, "own"), 5),  # the folder is a copy of days ago: what came since is read again
        (5, Committed(9, "another"), 9),  # who has those rows
        (5, Committed(9), 9),
        (5, Committed(3), 5),  # a person who wants rows again that are there
    ],
)
def test_it_is_behind_the_rows(stored: int | None, committed: Committed | None, wanted: int | None) -> None:
    assert begin(stored, committed, "own") == wanted
