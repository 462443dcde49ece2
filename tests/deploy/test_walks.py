"""Random changes of a table, one after another, under a model of its rows: every value is what it has to be."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from clickpipe.deploy import Category
from clickpipe.runtime import Workspace

pytestmark = pytest.mark.slow

WIDER = {
    "Int32": ("Nullable(Int32)", "Int64"),
    "String": ("LowCardinality(String)", "Nullable(String)"),
    "LowCardinality(String)": ("String", "LowCardinality(Nullable(String))"),
}
SUMS = (
    "SCHEMA >\n    id String,\n    n SimpleAggregateFunction(sum, Int64)\n\n"
    "ENGINE AggregatingMergeTree\nENGINE_SORTING_KEY id\n"
)
VIEW = "NODE n\nSQL >\n    SELECT id, sum(n) AS n FROM events GROUP BY id\nTYPE materialized\nDATASOURCE sums\n"
Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A type and a default: a value, `n * 2`, or None."""

    type: str
    default: str | int | None

    def value(self, row: Mapping[str, Any]) -> Any:
        """Return what a row has that comes without one."""
        if self.default == "n * 2":
            return row["n"] * 2
        if self.default is None:
            return None if "Nullable" in self.type else "" if "String" in self.type else 0
        return self.default

    def ddl(self, name: str) -> str:
        literal = f"'{self.default}'" if "String" in self.type else self.default
        default = "" if self.default is None else f" DEFAULT {literal}"
        return f"    {name} {self.type} `json:$.{name}`{default}"


@dataclass(frozen=True)
class Table:
    """A data source as it is defined at one moment."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    key: str = "id"
    partition: str = ""
    index: bool = False
    ttl: bool = False

    def files(self, rng: random.Random) -> dict[str, str]:
        lines = ["    id String `json:$.id`", "    n Int32 `json:$.n`"]
        lines += [column.ddl(name) for name, column in self.columns.items()]
        rng.shuffle(lines)
        parts = ["SCHEMA >\n" + ",\n".join(lines)]
        parts += ["INDEXES >\n    INDEX by_n n TYPE minmax GRANULARITY 1"] if self.index else []
        engine = ["ENGINE MergeTree", f"ENGINE_SORTING_KEY {self.key}"]
        engine += [f"ENGINE_PARTITION_KEY {self.partition}"] if self.partition else []
        engine += ["ENGINE_TTL toDate('2100-01-01') + toIntervalDay(length(id))"] if self.ttl else []
        text = "\n\n".join([*parts, "\n".join(engine)]) + "\n"
        return {"events.datasource": text, "sums.datasource": SUMS, "sums_mv.pipe": VIEW}

    def take(self, row: Mapping[str, Any]) -> Row:
        """Return a row of another definition as this one has it."""
        kept = {name: row[name] if name in row else column.value(row) for name, column in self.columns.items()}
        return {"id": row["id"], "n": row["n"], **kept}

    def changed(self, rng: random.Random) -> Table:
        columns, kind = dict(self.columns), rng.randrange(9)
        name = rng.choice([*columns, "c0"])
        if kind <= 2 and f"c{rng.randrange(6)}" not in columns:
            columns[f"c{rng.randrange(6)}"] = new_column(rng)
        elif kind == 3:
            columns.pop(name, None)
        elif kind == 4 and name in columns and columns[name].type in WIDER:
            columns[name] = replace(columns[name], type=rng.choice(WIDER[columns[name].type]))
        elif kind == 5 and name in columns:
            columns[name] = replace(columns[name], default=new_default(rng, columns[name].type))
        elif kind == 6:
            return replace(self, key=rng.choice(["id", "n, id", "id, n"]))
        elif kind == 7:
            return replace(self, partition=rng.choice(["", "n % 2", "n % 3"]))
        else:
            return replace(self, index=rng.random() < 0.5, ttl=rng.random() < 0.5)
        new = replace(self, columns=columns)
        fits = all(
            fit(self.columns[name].type, column.type) for name, column in columns.items() if name in self.columns
        )
        return new if fits else self


def fit(old: str, new: str) -> bool:
    return old == new or new in WIDER.get(old, ())


def new_column(rng: random.Random) -> Column:
    type_ = rng.choice(["String", "Int32", "Nullable(Int32)", "Int64", "LowCardinality(String)"])
    return Column(type_, new_default(rng, type_))


def new_default(rng: random.Random, type_: str) -> str | int | None:
    return rng.choice([None, "x", "y"]) if "String" in type_ else rng.choice([None, 7, "n * 2"])


class Walk:
    """A workspace, what is live in it, and the rows that are to be there."""

    def __init__(self, workspace: Workspace, rng: random.Random) -> None:
        self.workspace, self.rng, self.sent = workspace, rng, 0
        self.table = Table({"c0": Column("String", None)})
        workspace.deploy(self.table.files(rng))
        self.rows = self.send()

    def send(self) -> list[Row]:
        """Send rows that lack what may be lacking; return them as they are to be read."""
        documents: list[Row] = []
        for _ in range(3):
            self.sent += 1
            row: Row = {"id": f"r{self.sent}", "n": self.rng.randrange(5)}
            for name, column in self.table.columns.items():
                needed = column.default is None and "Nullable" not in column.type
                if needed or self.rng.random() < 0.6:
                    row[name] = self.rng.choice("ab") if "String" in column.type else self.rng.randrange(100)
            documents.append(row)
        assert self.workspace.ingest("events", documents).quarantined_rows == 0
        return [self.table.take(row) for row in documents]

    def check(self, where: str) -> None:
        names = ["id", "n", *self.table.columns]
        found = self.workspace.sql(f"SELECT {', '.join(names)} FROM events")
        assert by_id(found) == by_id(self.rows), where
        assert self.workspace.sql("SELECT sum(n) AS s FROM sums")[0]["s"] == sum(row["n"] for row in self.rows), where

    def step(self, number: int) -> set[Category]:
        """Deploy a change in one of the ways there are; return what its plan says of the table."""
        new, old, workspace = self.table.changed(self.rng), self.table, self.workspace
        prepared = workspace.deployments.prepare(new.files(self.rng), allow_destructive=True)
        assert not prepared.plan.errors
        if prepared.plan.is_empty:
            return set()
        before, deployment = workspace.queries.live().deployment_id, workspace.deployments.start(prepared)
        way = self.rng.choice(["at once", "kept", "staged", "rolled back"])
        where = f"change {number}, {way}: {old} to {new}"
        if way in {"at once", "kept"}:
            workspace.deployments.apply(deployment, prepared, keep_seconds=1000 if way == "kept" else 0)
        else:
            workspace.deployments.stage(deployment, prepared)
            self.rows += self.send()
            workspace.deployments.promote(deployment.id)
        back, self.rows, self.table = self.rows, [new.take(row) for row in self.rows], new
        self.check(where)
        late = self.send()
        if way == "rolled back":
            workspace.deployments.promote(before)
            self.table, self.rows = old, back + [old.take(row) for row in late]
            workspace.deployments.discard(deployment.id)
        else:
            self.rows += late
        self.check(f"{where}, with rows since")
        return {step.category for step in prepared.plan.steps if step.resource == "events"}


def by_id(rows: Sequence[Row]) -> dict[str, Row]:
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: dict(row) for row in rows}


@pytest.mark.parametrize("seed", range(2))
def test_any_changes_keep_every_value(workspace: Workspace, seed: int) -> None:
    walk = Walk(workspace, random.Random(seed))
    seen: set[Category] = set()
    for number in range(25):
        seen |= walk.step(number)
    assert {Category.ALTER, Category.REWRITE} <= seen
