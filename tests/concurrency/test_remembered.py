"""What functions of texts returned is remembered, up to a number of characters; other caches have small keys."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

import clickpipe
from clickpipe.concurrency import remembered

# Functions whose results are counted, not their texts: what they are asked with is short, or comes from few places.
COUNTED = {
    "catalog/names.py resource_id": "names of resources, of the project or at most 1,000 characters",
    "catalog/names.py service_tables": "names of databases",
    "connect/google.py _key": "keys of connections, of at most 100 kB",
    "project/kafka_topic.py _problem": "certificates of connections: 64 of them",
    "server/observed.py _agent": "a part of a header: 1,000 characters",
    "server/parameters.py _query": "queries of less than 1,000 bytes",
    **dict.fromkeys(
        (
            *("sql/allowed/__init__.py names", "sql/allowed/__init__.py bounds", "sql/allowed/__init__.py unfailing"),
            *("datafile/grammar.py _parser", "folder/state.py code_state", "template/environment.py environment"),
        ),
        "names of the code's own, or nothing",
    ),
}


def test_long_texts_do_not_fill_the_memory() -> None:
    asked: list[str] = []

    @remembered(1_000)
    def length(text: str, *, more: int = 0) -> int:
        asked.append(text)
        return len(text) + more

    assert [length("a" * 100), length("a" * 100), length("a" * 100, more=1), length("a" * 100, more=1)] == [
        *(100, 100, 101, 101)
    ]
    assert len(asked) == 2
    for _ in range(2):
        length("b" * 126)  # more than an eighth: not kept
    assert len(asked) == 4
    texts = [f"{n:0100}" for n in range(30)]
    for text in texts:
        length(text)
    asked.clear()
    assert [length(text) for text in reversed(texts)] == [100] * 30
    assert 20 <= len(asked) < 30  # the newest ten were kept


def test_an_error_is_not_kept_and_a_result_may_be_none() -> None:
    asked: list[str] = []

    @remembered(1_000)
    def odd(text: str) -> None:
        asked.append(text)
        if text == "bad":
            raise ValueError(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            odd("bad")
        odd("good")
    assert asked == ["bad", "good", "bad"]


def test_threads_share_it() -> None:
    @remembered(5_000)
    def twice(text: str) -> str:
        return text * 2

    wrong: list[str] = []

    def ask() -> None:
        for number in range(2_000):
            text = f"{number % 300:050}"
            if twice(text) != text * 2:
                wrong.append(text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_other_cache_counts_entries_alone() -> None:
    root = Path(clickpipe.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                names = {n.id for d in node.decorator_list for n in ast.walk(d) if isinstance(n, ast.Name)}
                if names & {"lru_cache", "cache"}:
                    found.add(f"{path.relative_to(root)} {node.name}")
    assert found == set(COUNTED)
