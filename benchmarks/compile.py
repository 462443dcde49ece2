"""A generated project of 500 data sources and 1,000 pipes: parsing it; checking it cold, warm, with a file changed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.generated_project import files
from clickpipe.checking import check_folder
from clickpipe.compiler import compile_project
from clickpipe.diagnostics import has_errors
from clickpipe.engine import EmbeddedEngine, Params, ResultColumn, throwaway
from clickpipe.project import load_texts

DATA_SOURCES = 500
PIPES = 1_000
_LIMIT = "Int32(limit, "


class _Engine(EmbeddedEngine):
    """Keeps what it was asked, so that the same can be asked again with nothing around it."""

    def __init__(self) -> None:
        super().__init__()
        self.described: list[tuple[str, Params | None]] = []

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        self.described.append((sql, params))
        return super().describe(sql, params)


def main() -> None:
    """Print times, in total and per file, each as a ratio to ClickHouse's own time for the cold check's DESCRIBEs."""
    texts = files(DATA_SOURCES, PIPES)
    parsed = _seconds(lambda: load_texts(texts))
    parsed_again = _seconds(lambda: load_texts(texts))
    checked, baseline, described = _check(texts)
    print(f"baseline: ClickHouse types the cold check's {described} queries, one by one: {baseline:.2f} s")

    def report(what: str, seconds: float) -> None:
        each = seconds / len(texts) * 1000
        ratio = seconds / baseline
        print(f"{what}: {seconds:.2f} s for {len(texts)} files, {each:.2f} ms each, ratio {ratio:.2f}", flush=True)

    report("parse, cold", parsed)
    report("parse, templates and types known", parsed_again)
    report("check in a running engine, cold", checked)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf-8")
        report("check in this process, nothing kept", _seconds(lambda: check_folder(root)))
        report("clickpipe check, cold", median(_cold(root) for _ in range(3)))
        report("clickpipe check, nothing changed", median(_command(root) for _ in range(3)))
        pipe = next(name for name, text in texts.items() if _LIMIT in text)
        changes = [(pipe, texts[pipe].replace(_LIMIT, f"{_LIMIT}{n}")) for n in (1, 2, 3)]
        report("clickpipe check, one pipe changed", median(_changed(root, *change) for change in changes))
        source = "datasources/events_0.datasource"
        changes = [(source, texts[source].replace(" c0 ", f" renamed_{n} ")) for n in (1, 2, 3)]
        report("clickpipe check, one data source changed", median(_changed(root, *change) for change in changes))
        report("clickpipe --help (the command line alone)", min(_command(root, "--help") for _ in range(3)))


def _check(texts: dict[str, str]) -> tuple[float, float, int]:
    """Return the seconds of a check, those of its DESCRIBEs alone, and their number."""
    engine = _Engine()
    checker = throwaway(engine)
    started = time.perf_counter()
    compiled = compile_project(load_texts(texts), checker)
    checked = time.perf_counter() - started
    assert not has_errors(compiled.diagnostics), compiled.diagnostics[0]
    asked = list(engine.described)
    baseline = _seconds(lambda: [EmbeddedEngine.describe(engine, sql, params) for sql, params in asked])
    engine.close()
    return checked, baseline, len(asked)


def _cold(root: Path) -> float:
    shutil.rmtree(root / ".clickpipe", ignore_errors=True)
    return _command(root)


def _changed(root: Path, file: str, text: str) -> float:
    (root / file).write_text(text, encoding="utf-8")
    return _command(root)


def _command(root: Path, *instead: str) -> float:
    command = [sys.executable, "-m", "clickpipe", *(instead or ("check", str(root)))]
    return _seconds(lambda: subprocess.run(command, check=True, capture_output=True))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
