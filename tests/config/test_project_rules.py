"""A project's own `clickpipe.toml`, as somebody may send it to a server: what cannot be read says nothing."""

from __future__ import annotations

import pytest

from clickpipe.config import DEFAULT_RULES, with_project


@pytest.mark.parametrize(
    "text",
    [
        "broken_branches = ['error']",
        "broken_branches = {error = 1}",
        "enum_values = [['ignore']]",
        "enum_values = 1979-05-27",
        "lossy_columns = 5",
        "lossy_columns = ['*']",
        "broken_branches = ",
        f"a = {'9' * 5_000}",
        f"a = {'[' * 100_000}",
        "copy_sources = 's3, url'\nenvironment_secrets = 'all'\nquery_max_seconds = 0",
    ],
)
def test_what_is_odd_or_the_servers_changes_nothing(text: str) -> None:
    assert with_project(DEFAULT_RULES, text) == DEFAULT_RULES


def test_what_is_the_projects_counts() -> None:
    assert not with_project(DEFAULT_RULES, "broken_branches = 'error'").lenient
    assert with_project(DEFAULT_RULES, "enum_values = 'ignore'").any_enum
