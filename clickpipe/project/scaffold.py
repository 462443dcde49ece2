"""The files of a new project: a small example with data and a test."""

from __future__ import annotations

from pathlib import Path

_GITIGNORE = """\
# data of `clickpipe dev`
.clickpipe/
# secrets
.env
.env.*
"""

_SETTINGS = """\
# Settings of this project; docs/settings.md lists them all.
broken_branches = "error"  # a broken branch of a template fails `clickpipe check` and deployments
# port = 7181
# data_dir = ".clickpipe"
"""

_DATASOURCE = """\
DESCRIPTION >
    One row per page view.
    Send rows with POST /v0/events?name=page_views.

TOKEN "ingest" APPEND

SCHEMA >
    timestamp DateTime `json:$.timestamp`,
    visitor String `json:$.visitor`,
    path String `json:$.path`,
    country LowCardinality(String) `json:$.country` DEFAULT 'unknown'

ENGINE MergeTree
ENGINE_PARTITION_KEY toYYYYMM(timestamp)
ENGINE_SORTING_KEY timestamp, visitor
"""

_PIPE = """\
DESCRIPTION >
    The most viewed pages.

TOKEN "read" READ

NODE endpoint
SQL >
    %
    SELECT path, count() AS views, uniq(visitor) AS visitors
    FROM page_views
    WHERE timestamp >= {{DateTime(since, '2020-01-01 00:00:00', description='Views since this time')}}
    {% if defined(country) %}
      AND country = {{String(country, description='Views from this country only')}}
    {% end %}
    GROUP BY path
    ORDER BY views DESC, path
    LIMIT {{Int32(limit, 10, description='How many pages')}}

TYPE endpoint
"""

_FIXTURE = """\
{"timestamp": "2026-01-05 09:00:00", "visitor": "ada", "path": "/", "country": "GB"}
{"timestamp": "2026-01-05 09:00:20", "visitor": "ada", "path": "/pricing", "country": "GB"}
{"timestamp": "2026-01-05 10:30:00", "visitor": "linus", "path": "/", "country": "FI"}
{"timestamp": "2026-01-06 08:15:00", "visitor": "grace", "path": "/", "country": "US"}
{"timestamp": "2026-01-06 08:16:10", "visitor": "grace", "path": "/docs"}
"""

_TEST = """\
- name: all_pages
  description: Most viewed first
  parameters: limit=2
  expected_result: |
    {"path":"\\/","views":3,"visitors":3}
    {"path":"\\/docs","views":1,"visitors":1}

- name: one_country
  description: Only views from Finland
  parameters: country=FI
  expected_result: |
    {"path":"\\/","views":1,"visitors":1}
"""

_WORKFLOW = """\
name: analytics
on:
  pull_request:
  push:
    branches: [main]
permissions:
  contents: read
  pull-requests: write
env:
  CLICKPIPE_HOST: ${{ vars.CLICKPIPE_HOST }}
  CLICKPIPE_TOKEN: ${{ secrets.CLICKPIPE_TOKEN }}
jobs:
  check:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: { python-version: "3.13" }
      - run: pip install clickpipe
      - run: clickpipe check --format github
      - run: clickpipe test
  plan:
    if: github.event_name == 'pull_request'
    needs: check
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: { python-version: "3.13" }
      - run: pip install clickpipe
      - run: clickpipe deploy --check --format github > plan.md
      - run: gh pr comment "$PULL_REQUEST" --edit-last --create-if-none --body-file plan.md
        if: ${{ !cancelled() }}
        env:
          GH_TOKEN: ${{ github.token }}
          PULL_REQUEST: ${{ github.event.pull_request.html_url }}
  deploy:
    if: github.ref == 'refs/heads/main'
    needs: check
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: { python-version: "3.13" }
      - run: pip install clickpipe
      - run: clickpipe deploy
"""

_GITLAB = """\
# CLICKPIPE_HOST and CLICKPIPE_TOKEN are CI/CD variables of the project.
image: python:3.13
before_script:
  - pip install clickpipe

check:
  stage: test
  script:
    - clickpipe check --format junit > check.xml
    - clickpipe test run --format junit > test.xml
  artifacts:
    when: always
    reports:
      junit: [check.xml, test.xml]

plan:
  stage: test
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
  script:
    - clickpipe deploy --check

deploy:
  stage: deploy
  rules:
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
  script:
    - clickpipe deploy
"""

_BASE = {".gitignore": _GITIGNORE, "clickpipe.toml": _SETTINGS}
_EXAMPLE = {
    "datasources/page_views.datasource": _DATASOURCE,
    "pipes/top_pages.pipe": _PIPE,
    "fixtures/page_views.ndjson": _FIXTURE,
    "tests/top_pages.yaml": _TEST,
}
_CI = {"github": {".github/workflows/clickpipe.yml": _WORKFLOW}, "gitlab": {".gitlab-ci.yml": _GITLAB}}


def scaffold_files(*, example: bool = True, ci: str = "") -> dict[str, str]:
    """Return the files of a new project by relative path; `ci` (github, gitlab) adds that system's pipeline."""
    return {**_BASE, **(_EXAMPLE if example else {}), **_CI.get(ci, {})}


def scaffold(folder: Path, files: dict[str, str]) -> tuple[list[str], list[str]]:
    """Write the files that do not exist yet; return the names written, and those kept. Raises OSError."""
    written: list[str] = []
    kept: list[str] = []
    for name, text in files.items():
        path = folder / name
        if path.exists():
            kept.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(name)
    return written, kept
