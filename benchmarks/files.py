"""Files appended by the command line against the engine's own INSERT … SELECT FROM file() of the same file."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks.serving import Server, serve
from clickpipe.engine import EmbeddedEngine, config

ROWS = 1_000_000
TIMES = 3
COLUMNS = {
    "id": "UInt64",
    "at": "DateTime",
    "user": "String",
    "amount": "Float64",
    "quantity": "Int32",
    "country": "LowCardinality(String)",
    "flag": "UInt8",
    "note": "String",
}
_NOTES = ("a note", 'said "hi", and left', "x" * 20, "")
_STRUCTURE = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
_TABLE = "PARTITION BY toYYYYMM(at) ORDER BY (at, user)"
_FORMATS = {"csv": "CSVWithNames", "parquet": "Parquet"}


def main() -> None:
    """Print for CSV and Parquet how many rows a second are appended, and the ratio to the engine alone."""
    with tempfile.TemporaryDirectory(prefix="clickpipe-bench-") as name:
        folder = Path(name)
        own = _engine_alone(folder)
        project = folder / "project"
        (project / "datasources").mkdir(parents=True)
        schema = ",\n".join(f"    `{name}` {type_} `json:$.{name}`" for name, type_ in COLUMNS.items())
        key = 'ENGINE "MergeTree"\nENGINE_PARTITION_KEY "toYYYYMM(at)"\nENGINE_SORTING_KEY "at, user"\n'
        (project / "datasources" / "sales.datasource").write_text(f"SCHEMA >\n{schema}\n\n{key}", encoding="utf-8")
        with serve(folder / "data", project) as server:
            for kind in _FORMATS:
                _measure(server, folder / f"rows.{kind}", own[kind])


def _measure(server: Server, file: Path, own: float) -> None:
    command = [sys.executable, "-m", "clickpipe", "datasource", "append", "sales", str(file)]
    command += ["--host", server.url, "--token", server.token]
    whole = _fastest(lambda: subprocess.run(command, check=True, capture_output=True))
    jobs = json.loads(server.request(server.connect(), "GET", "/v0/jobs?kind=import"))["jobs"][:TIMES]
    job = min(_seconds(one["created_at"], one["updated_at"]) for one in jobs)
    print(
        f"datasource append, {ROWS:,} rows of {file.suffix[1:]}: {ROWS / whole:,.0f} rows/s, ratio {own / whole:.2f} "
        f"(with the command's start and the upload; {own / job:.2f} for the server's import alone)",
        flush=True,
    )


def _seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def _fastest(run: Callable[[], object]) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def _engine_alone(folder: Path) -> dict[str, float]:
    """Write the files, and return for each kind how many seconds the engine takes to insert it."""
    _write_csv(folder / "rows.csv")
    grants = config.GRANTS
    config.GRANTS = "GRANT ALL ON *.*"  # only here: the engine that serves reads no files
    engine = EmbeddedEngine(folder / "alone")
    found: dict[str, float] = {}
    try:
        engine.execute(f"CREATE TABLE default.t ({_STRUCTURE}) ENGINE = MergeTree {_TABLE}")
        rows = f"file('{folder / 'rows.csv'}', 'CSVWithNames', '{_STRUCTURE}')"
        engine.execute(f"INSERT INTO FUNCTION file('{folder / 'rows.parquet'}', 'Parquet') SELECT * FROM {rows}")
        for kind, format_ in _FORMATS.items():
            source = f"file('{folder / f'rows.{kind}'}', '{format_}', '{_STRUCTURE}')"
            insert = f"INSERT INTO default.t SELECT * FROM {source}"
            found[kind] = _fastest(lambda insert=insert: engine.execute(insert, output="Null"))  # type: ignore[misc]
            print(f"the engine's own INSERT from {kind}: {ROWS / found[kind]:,.0f} rows/s", flush=True)
    finally:
        engine.close()
        config.GRANTS = grants
    return found


def _write_csv(path: Path) -> None:
    """Write the same rows whenever it is called."""
    pick = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number in range(ROWS):
            clock = f"{pick.randrange(24):02d}:{pick.randrange(60):02d}:{pick.randrange(60):02d}"
            at = f"2026-{pick.randrange(10, 12)}-{pick.randrange(1, 29):02d} {clock}"
            amount, quantity = round(pick.random() * 1000, 2), pick.randrange(1, 100)
            country, note = pick.choice(["DE", "FR", "US"]), pick.choice(_NOTES)
            rows.writerow([number, at, f"user{pick.randrange(10_000)}", amount, quantity, country, number % 2, note])
