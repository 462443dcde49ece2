"""No deletion, key or TTL of one workspace holds the threads that merge and delete for all."""

from __future__ import annotations

import json

import pytest

from clickpipe.engine import Engine
from tests.server.conftest import FILES, Client

CONDITIONS = (
    "editDistance(id, reverse(id)) > 3",
    "levenshteinDistanceUTF8(id, 'x') > 3",
    "EDITDISTANCE(id, 'x') > 3",
    "if(now() > toDateTime('2026-01-01 00:00:00'), damerauLevenshteinDistance(id, 'x') > 0, 1)",
    "jaroSimilarity(id, 'x') > 0.5",
    "multiFuzzyMatchAny(id, 3, ['abc'])",
    "length(range(toUInt64(amount))) > 3",
    "length(repeat(id, 1000000)) > 3",
    "arrayExists(x -> arrayExists(y -> x = y, splitByChar('a', id)), splitByChar('b', id))",
    "amount IN (SELECT number FROM numbers(1000000000000))",
    "amount IN (SELECT n FROM (SELECT editDistance(id, id) AS n FROM events))",
    "arrayLevenshteinDistance([id], [id]) > 0",
    "length(leftPad(id, 1000000)) > 0",
    "arrayMax(arrayWithConstant(1000000, amount)) > 0",
)
LINES = (
    ("ENGINE_TTL at + toIntervalDay(editDistance(id, 'x'))", "editDistance"),
    ("ENGINE_TTL at + toIntervalDay(length(range(toUInt64(abs(amount)))))", "range"),
    ("ENGINE_SORTING_KEY editDistance(id, reverse(id))", "editDistance"),
    ("ENGINE_PARTITION_KEY levenshteinDistance(id, 'x')", "levenshteinDistance"),
    ("ENGINE_SETTINGS number_of_free_entries_in_pool_to_execute_mutation=0", "number_of_free_entries"),
    ("INDEXES >\n    INDEX i editDistance(id, 'x') TYPE minmax GRANULARITY 1", "editDistance"),
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_no_condition_may_take_minutes_for_a_row(client: Client, condition: str) -> None:
    client.workspace.deploy(FILES)
    refused = client("POST", "/v0/datasources/events/delete", params={"delete_condition": condition})
    assert refused.status_code == 400, refused.text
    assert "too long for one row" in refused.text or "cannot be read in conditions" in refused.text


@pytest.mark.parametrize(
    "condition",
    ["id LIKE '%x%' AND at < now() - INTERVAL 3 DAY", "arrayExists(x -> x = id, ['a', 'b'])", "match(id, '^a+$')"],
)
def test_others_are_as_before(client: Client, condition: str) -> None:
    client.workspace.deploy(FILES)
    taken = client("POST", "/v0/datasources/events/delete", params={"delete_condition": condition, "dry_run": "true"})
    assert taken.status_code == 200, taken.text


@pytest.mark.parametrize(("line", "named"), LINES)
def test_nothing_that_merges_compute_may_either(client: Client, line: str, named: str) -> None:
    source = FILES["datasources/events.datasource"]
    if line.startswith("ENGINE_SORTING_KEY"):
        source = source.replace("ENGINE_SORTING_KEY at\n", "")
    files = {**FILES, "datasources/events.datasource": f"{source}{line}\n"}
    told = client(
        "POST",
        "/v1/deploy",
        params={"check": "true"},
        files=[("data_project://", (name, text, "text/plain")) for name, text in files.items()],
    )
    assert told.status_code == 400, told.text
    assert named in told.text


def test_deletions_leave_threads_to_merges(engine: Engine) -> None:
    sql = "SELECT toUInt64(value) AS n FROM system.{}_settings WHERE name = '{}'"

    def setting(kind: str, name: str) -> int:
        return int(json.loads(engine.execute(sql.format(kind, name)).body)["data"][0]["n"])

    threads = setting("server", "background_pool_size")
    assert setting("server", "background_merges_mutations_concurrency_ratio") == 1
    assert 2 <= setting("merge_tree", "number_of_free_entries_in_pool_to_execute_mutation") < threads
