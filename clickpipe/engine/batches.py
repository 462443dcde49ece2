"""Groups statements into batches that one query can handle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Statement = tuple[str, Mapping[str, Any]]  # SQL and its parameters


def batches(statements: Sequence[str], count: int, characters: int) -> Iterator[list[str]]:
    """Yield the statements in order, in batches of at most `count` statements and `characters` characters.

    A single statement that is longer than that is a batch of its own.
    """
    batch: list[str] = []
    size = 0
    for statement in statements:
        if batch and (len(batch) == count or size + len(statement) > characters):
            yield batch
            batch, size = [], 0
        batch.append(statement)
        size += len(statement)
    if batch:
        yield batch


def compatible(statements: Sequence[Statement], count: int, characters: int) -> Iterator[list[int]]:
    """Yield the indexes of the statements in batches; within a batch, each parameter name has only one value."""
    opened: list[tuple[list[int], dict[str, Any], int]] = []
    for number, (sql, params) in enumerate(statements):
        for at, (numbers, values, size) in enumerate(opened):
            if size + len(sql) <= characters and all(_same(values, name, value) for name, value in params.items()):
                numbers.append(number)
                values.update(params)
                opened[at] = (numbers, values, size + len(sql))
                if len(numbers) == count:
                    yield opened.pop(at)[0]
                break
        else:
            opened.append(([number], dict(params), len(sql)))
    for numbers, _, _ in opened:
        yield numbers


def _same(values: Mapping[str, Any], name: str, value: object) -> bool:
    return name not in values or (type(values[name]) is type(value) and values[name] == value)
