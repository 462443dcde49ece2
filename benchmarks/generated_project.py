"""A generated project of any size, shaped as public projects are: the same for the same seed."""

from __future__ import annotations

import random

_TYPES = (
    *("String", "LowCardinality(String)", "Nullable(String)", "UInt64"),
    *("Int64", "Float64", "DateTime64(3)", "Array(String)"),
)


def files(data_sources: int, pipes: int, seed: int = 1) -> dict[str, str]:
    """Return datafiles by path: landing data sources, endpoints, and some materialized views with targets."""
    rng = random.Random(seed)
    views = max(1, data_sources // 5)
    landings = data_sources - views
    found = {f"datasources/events_{n}.datasource": _landing(n, rng) for n in range(landings)}
    for n in range(views):
        found[f"datasources/daily_{n}.datasource"] = _target(n)
        found[f"materializations/daily_{n}_mv.pipe"] = _view(n, rng.randrange(landings))
    for n in range(pipes - views):
        found[f"endpoints/top_{n}.pipe"] = _endpoint(n, rng, landings, views)
    return found


def _landing(number: int, rng: random.Random) -> str:
    columns = ["    timestamp DateTime `json:$.timestamp`", "    kind LowCardinality(String) `json:$.kind`"]
    columns += [f"    c{i} {rng.choice(_TYPES)} `json:$.c{i}`" for i in range(9)]
    columns = [f"{c[:-1]}[:]`" if "Array" in c else c for c in columns]
    return (
        f'DESCRIPTION >\n    Landing table number {number}\n\nTOKEN "ingest" APPEND\n\nSCHEMA >\n'
        + ",\n".join(columns)
        + '\n\nENGINE "MergeTree"\nENGINE_PARTITION_KEY "toYYYYMM(timestamp)"\nENGINE_SORTING_KEY "kind, timestamp"\n'
        + 'ENGINE_TTL "timestamp + toIntervalDay(90)"\n'
    )


def _target(number: int) -> str:
    return (
        f"# target of the view daily_{number}_mv\nSCHEMA >\n    day Date,\n    kind LowCardinality(String),\n"
        '    hits AggregateFunction(count)\n\nENGINE "AggregatingMergeTree"\nENGINE_SORTING_KEY "day, kind"\n'
    )


def _view(number: int, source: int) -> str:
    return (
        "NODE daily\nSQL >\n    SELECT toDate(timestamp) AS day, kind, countState() AS hits\n"
        f"    FROM events_{source}\n"
        f"    GROUP BY day, kind\n\nTYPE materialized\nDATASOURCE daily_{number}\n"
    )


def _endpoint(number: int, rng: random.Random, landings: int, views: int) -> str:
    if rng.random() < 0.3:
        source = rng.randrange(views)
        return (
            f'DESCRIPTION Hits a day {number}\n\nTOKEN "read" READ\n\nNODE endpoint\nSQL >\n    %\n'
            f"    SELECT day, kind, countMerge(hits) AS hits\n    FROM daily_{source}\n"
            "    WHERE day >= {{Date(start_date, '2024-01-01')}} AND day <= {{Date(end_date, '2024-12-31')}}\n"
            "    {% if defined(kind) %} AND kind = {{String(kind)}} {% end %}\n"
            "    GROUP BY day, kind\n    ORDER BY hits DESC\n    LIMIT {{Int32(limit, 50)}}\n\nTYPE endpoint\n"
        )
    source = rng.randrange(landings)
    return (
        f"DESCRIPTION >\n    Top kinds {number}\n\nNODE filtered\nSQL >\n    %\n    SELECT *\n"
        f"    FROM events_{source}\n"
        "    WHERE timestamp >= {{DateTime(start, '2024-01-01 00:00:00')}}\n"
        "    {% if defined(kinds) %} AND kind IN {{Array(kinds, 'String')}} {% end %}\n\n"
        "NODE endpoint\nSQL >\n    %\n    SELECT kind, count() AS hits, max(timestamp) AS last\n    FROM filtered\n"
        "    GROUP BY kind\n    ORDER BY hits DESC\n"
        "    LIMIT {{Int32(limit, 10)}} OFFSET {{Int32(page, 0) * Int32(limit, 10)}}\n\n"
        "TYPE endpoint\n"
    )
