"""Ingestion under any order of requests, errors of engine and disk, kills and starts: each row is where it belongs."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from clickpipe.diagnostics import ClickpipeError
from clickpipe.engine import Engine, EngineError, Queries, Storage
from clickpipe.ingest import Ingester, IngestResult, Lines, Position, WriteAheadLog, writes
from clickpipe.ingest.log_file import OpenSegment
from clickpipe.runtime import Instance, Workspace

MEMORY = "Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
BUG = "Code: 49. DB::Exception: Logical error. (LOGICAL_ERROR)"
ERRORS = [EngineError(MEMORY), EngineError(BUG), OSError(28, "full"), KeyError("a bug of ours")]
# A line, and where its row belongs.
KINDS = {
    "certain": ('{"id":"%s","n":1}', "table"),
    "asked": ('{"id":"%s","n":1.0}', "table"),
    "unfit": ('{"id":"%s","n":"many"}', "quarantine"),
    "refused": ('{"id":"%s","n":101}', "quarantine"),
    "broken": ('{"id":"%s"', "quarantine"),
}


class World:
    """What fails: an engine that fails so many times, from some statement on; a disk that is full so often."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.error: Exception = ERRORS[0]
        self.before = self.failures = self.full = 0
        self.storage = Storage(cast(Queries, self))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def _fail(self) -> None:
        if self.before > 0:
            self.before -= 1
        elif self.failures > 0:
            self.failures -= 1
            raise self.error

    def execute(self, sql: str, *given: Any, **named: Any) -> Any:
        self._fail()
        return self._engine.execute(sql, *given, **named)

    def insert(self, *given: Any) -> None:
        self._fail()
        self._engine.insert(*given)


@dataclass
class Sent:
    """A request: ids of its rows with where they belong; whether its server was killed before it answered."""

    rows: dict[str, str]
    answer: Future[IngestResult]
    cut_off: bool = field(default=False)

    def belongs(self) -> dict[str, str] | None:
        """Return where its rows are to be; None where they may be there or not."""
        if self.cut_off and not self.answer.done():
            return None
        error = self.answer.exception(timeout=60)
        if isinstance(error, ClickpipeError) and error.status == 503:
            return dict.fromkeys(self.rows, "nowhere")
        if isinstance(error, KeyError):  # 500: nothing is acknowledged
            return None
        assert error is None or (isinstance(error, ClickpipeError) and error.status == 422), error
        return self.rows


class Machine(RuleBasedStateMachine):
    """One server after another on the same folder; all is right between errors, and in the end."""

    def __init__(self, workspace: Workspace, instance: Instance, folder: Path, number: list[int]) -> None:
        super().__init__()
        number[0] += 1
        self._workspace, self._folder, self._instance = workspace, folder / str(number[0]), instance
        self._number, self._sent = number[0], list[Sent]()
        self._rows = 0
        self._source, self._read = f"source {number[0]}", list[str]()
        self._start()

    def _start(self) -> None:
        self.world = World(self._instance.engine)
        log, positions = WriteAheadLog(self._folder), self._instance.catalog.positions
        self._ingester = Ingester(self.world, log, positions, self._instance.registry, flush_seconds=0.02)
        self._ingester.recover()

    @rule(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6), wait=st.booleans())
    def send(self, kinds: list[str], *, wait: bool) -> None:
        """Send a request, and wait for no answer."""
        names = {f"e{self._number}r{self._rows + n}": kind for n, kind in enumerate(kinds)}
        self._rows += len(names)
        lines = Lines.of([(KINDS[kind][0] % name).encode() for name, kind in names.items()])
        rows = {name: KINDS[kind][1] for name, kind in names.items()}
        try:
            answer = self._ingester.submit(self._workspace.id, "events", lines, wait=wait)
        except ClickpipeError as error:
            answer = Future()
            answer.set_exception(error)
        self._sent.append(Sent(rows, answer))

    @rule(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6), wait=st.booleans())
    def read_on(self, kinds: list[str], *, wait: bool) -> None:
        """Send what comes next from a source with numbers; what was not taken is read again."""
        first = self._ingester.positions(self._workspace.id, "events", self._source).get("0", 0)
        self._read[first:] = kinds
        lines = [(KINDS[kind][0] % f"e{self._number}r_{first + n}").encode() for n, kind in enumerate(kinds)]
        position = Position(self._source, {"0": first + len(kinds)})
        with suppress(ClickpipeError, KeyError, TimeoutError):
            sent = self._ingester.submit(self._workspace.id, "events", Lines.of(lines), wait=wait, position=position)
            sent.result(timeout=60)

    @rule(error=st.sampled_from(ERRORS), before=st.integers(0, 9), failures=st.integers(1, 5))
    def fail(self, error: Exception, before: int, failures: int) -> None:
        """Have the engine fail."""
        self.world.error, self.world.before, self.world.failures = error, before, failures

    @rule(times=st.integers(1, 3))
    def fill_the_disk(self, times: int) -> None:
        """Have no room for what is logged next."""
        self.world.full = times

    @rule()
    def wait(self) -> None:
        """Let it work."""
        time.sleep(0.05)

    @rule()
    def kill(self) -> None:
        """End the server at the statement that it is at, and start another."""
        ingester, self.world.failures, self.world.before = self._ingester, 1 << 30, 0
        ingester._settler.settle = lambda *_: False  # type: ignore[method-assign]
        for sent in self._sent:
            sent.cut_off = True
        ingester.close()
        self._start()

    @rule()
    def look(self) -> None:
        """Have nothing fail, and wait until each row is where it belongs."""
        self.world.failures = self.world.full = 0
        asked = [sent.belongs() for sent in self._sent]
        due = time.monotonic() + 60
        while (wrong := self._wrong(asked)) and time.monotonic() < due:
            time.sleep(0.05)
        assert not wrong

    def _wrong(self, asked: list[dict[str, str] | None]) -> list[str]:
        found = self._found()
        next_ = self._ingester.positions(self._workspace.id, "events", self._source).get("0", 0)
        read = {f"e{self._number}r_{n}": KINDS[kind][1] for n, kind in enumerate(self._read[:next_])}
        wrong = [f"{name} of the source: {found.get(name)}" for name, at in read.items() if found.get(name) != at]
        wrong += [f"{name} of the source is too many" for name in found if "r_" in name and name not in read]
        for sent, rows in zip(self._sent, asked, strict=True):
            there = {name: found.get(name, "nowhere") for name in sent.rows}
            nothing = set(there.values()) == {"nowhere"}
            expected = rows if rows is not None else there if nothing else sent.rows
            wrong += [f"{name}: {there[name]}, not {where}" for name, where in expected.items() if there[name] != where]
        return wrong

    def _found(self) -> dict[str, str]:
        """Return where each row is; one that is in the table and its view once is in the table."""
        prefix = f"'e{self._number}r'"
        sql = "SELECT id FROM {} WHERE startsWith(id, " + prefix + ")"
        table = Counter(row["id"] for row in self._workspace.sql(sql.format("events")))
        sums = self._workspace.sql(f"SELECT id, sum(n) AS n FROM sums WHERE startsWith(id, {prefix}) GROUP BY id")
        view = {row["id"]: row["n"] for row in sums}
        kept = f"extract(ifNull(id, c__error[1]), 'e{self._number}r_?[0-9]+')"
        quarantine = Counter(
            row["name"] for row in self._workspace.sql(f"SELECT {kept} AS name FROM events_quarantine WHERE name != ''")
        )
        found = {}
        for name in {*table, *view, *quarantine}:
            counts = (table[name], view.get(name, 0), quarantine[name])
            found[name] = {(1, 1, 0): "table", (0, 0, 1): "quarantine"}.get(counts, f"{counts}")
        return found

    def teardown(self) -> None:
        """Look once more, and stop."""
        try:
            self.look()
        finally:
            self._ingester.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_AGAIN_AFTER", (0.01,))
    monkeypatch.setattr("clickpipe.ingest.channel._BACK_OFF", (0.02, 0.05))


@pytest.mark.parametrize("examples", [5, pytest.param(60, marks=pytest.mark.slow)])
def test_each_row_is_where_it_belongs(
    instance: Instance, deployed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    number, made = [0], list[Machine]()
    write = OpenSegment._write

    def full(segment: OpenSegment, parts: Any) -> None:
        if made[-1].world.full > 0:
            made[-1].world.full -= 1
            raise OSError(28, "No space left on device")
        write(segment, parts)

    def make() -> Machine:
        made.append(Machine.__new__(Machine))
        made[-1].__init__(deployed, instance, tmp_path, number)  # type: ignore[misc]
        return made[-1]

    monkeypatch.setattr(OpenSegment, "_write", full)
    run_state_machine_as_test(
        make,  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            print_blob=False,
            derandomize=True,
        ),
    )
