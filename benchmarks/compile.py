"""A generated project of 500 data sources and 1,000 pipes: parsing it, and checking it against ClickHouse."""

from __future__ import annotations

import time

from benchmarks.generated_project import files
from clickpipe.compiler import compile_project
from clickpipe.diagnostics import has_errors
from clickpipe.engine import EmbeddedEngine, EngineChecker, Params, ResultColumn, scratch
from clickpipe.project import load_texts

DATA_SOURCES = 500
PIPES = 1_000


class _Engine(EmbeddedEngine):
    """Keeps what it was asked, so that the same can be asked again with nothing around it."""

    def __init__(self) -> None:
        super().__init__()
        self.described: list[tuple[str, Params | None]] = []

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        self.described.append((sql, params))
        return super().describe(sql, params)


def main() -> None:
    """Print times, in total and per file, and the check's ratio to ClickHouse's own part of it."""
    texts = files(DATA_SOURCES, PIPES)
    started = time.perf_counter()
    project = load_texts(texts)
    parsed = time.perf_counter() - started
    _report("parse", parsed, len(texts))
    engine = _Engine()
    with scratch(engine) as checker:
        checked, describing = _check(engine, checker, texts)
    engine.close()
    _report("check", checked, len(texts))
    share = describing / checked
    print(f"of which ClickHouse types {len(engine.described)} queries: {describing:.2f} s (ratio {share:.2f})")
    assert not has_errors(project.diagnostics)


def _check(engine: _Engine, checker: EngineChecker, texts: dict[str, str]) -> tuple[float, float]:
    started = time.perf_counter()
    compiled = compile_project(load_texts(texts), checker)
    checked = time.perf_counter() - started
    assert not has_errors(compiled.diagnostics), compiled.diagnostics[0]
    asked = list(engine.described)
    started = time.perf_counter()
    for sql, params in asked:
        EmbeddedEngine.describe(engine, sql, params)
    return checked, time.perf_counter() - started


def _report(what: str, seconds: float, count: int) -> None:
    print(f"{what}: {seconds:.2f} s for {count} files, {seconds / count * 1000:.2f} ms each", flush=True)
