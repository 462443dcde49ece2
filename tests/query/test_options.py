"""Limits of a query: of settings, templates and tokens the lowest holds."""

from __future__ import annotations

from typing import Any

import pytest

from clickpipe.query.options import bounded


@pytest.mark.parametrize(
    ("settings", "others", "found"),
    [
        ({}, [{}], {}),
        ({"max_result_rows": 10}, [{"max_result_rows": 5}], {"max_result_rows": 5}),
        ({"max_result_rows": 10}, [{"max_result_rows": 50}], {"max_result_rows": 10}),
        ({"max_result_rows": 10}, [{"max_result_rows": 0}], {"max_result_rows": 10}),
        ({}, [{"max_result_rows": 0}], {}),
        ({}, [{"max_result_rows": 7}, {"max_result_rows": 3}, {"max_result_rows": 5}], {"max_result_rows": 3}),
        ({"max_execution_time": 10}, [{"max_memory_usage": 5}], {"max_execution_time": 10, "max_memory_usage": 5}),
        ({"max_threads": 2}, [{"max_threads": 8}], {"max_threads": 8}),
        ({"a": 1}, [{"a": 0}], {"a": 0}),
    ],
)
def test_the_lowest_limit_holds(settings: dict[str, int], others: list[dict[str, Any]], found: dict[str, int]) -> None:
    assert bounded(settings, *others) == found
