"""Moves quarantined rows that now fit into their data source, each exactly once, even if interrupted.

Before it writes a row, a replay stores its plan in two tables next to the quarantine: a copy of the quarantine with
numbered rows, and the numbers of those that a view or the table refuses. A replay that finds such tables completes that
plan first, without asking views again which rows they accept.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from clickpipe.catalog import Live
from clickpipe.engine import IN_ORDER, ONE_BLOCK, Engine, EngineError, Params, Settings, once
from clickpipe.ingest.apart import leans, settings_apart
from clickpipe.ingest.insert import AT_ONCE
from clickpipe.ingest.judge import is_passing
from clickpipe.ingest.kept import Kept
from clickpipe.ingest.mapping import Replay, build_replay
from clickpipe.ingest.narrow import narrow
from clickpipe.ingest.probe import Probe
from clickpipe.ingest.uncertain import has_only_own_views, is_uncertain
from clickpipe.ingest.writes import NO_FORWARDING, Forwarding, execute_patiently
from clickpipe.project import DataSource
from clickpipe.sql import quote_identifier

_HASH = "sipHash128(toString(tuple({columns})))"


@dataclass(frozen=True, slots=True)
class _Decided:
    """The plan of a replay: the number of fitting rows, the numbers of refused ones, the insert's token.

    With `once`, what views make of the others is written without running them again. `uuid` is the quarantine's, which
    another table replaces at the end.
    """

    good: int
    refused: Sequence[int]
    token: str
    once: bool
    uuid: str


def replay(
    engine: Engine,
    live: Live,
    source: DataSource,
    owner: str,
    forwarding: Forwarding = NO_FORWARDING,
    tell: Callable[[Sequence[str]], None] = lambda _: None,
) -> dict[str, int]:
    """Move quarantined rows that now fit into the data source; return how many were moved, and how many are left.

    Rows that a view or the table refuses stay, and so do lines that were not JSON, as their columns were never known.
    Nothing else may write to the quarantine meanwhile. An interrupted replay is completed first. `forwarding` returns
    whether it removed the cause of a failed insert; `tell` is called with the tables that the next server needs to
    continue. Raises EngineError.
    """
    running = _Replaying(engine, live, source, owner, forwarding)
    before = running.go_on()
    found = running.run(tell)
    return {"rows": before + found["rows"], "left": found["left"]}


class _Replaying:
    def __init__(self, engine: Engine, live: Live, source: DataSource, owner: str, forwarding: Forwarding) -> None:
        self._engine, self._live, self._source, self._owner = engine, live, source, owner
        self._forwarding = forwarding
        self._table = live.physical.tables[source.name]
        self._quarantine = live.physical.tables[f"{source.name}_quarantine"]
        self._replacement, self._numbered, self._decided = (
            f"{self._quarantine[:-1]}_replay{end}`" for end in ("", "_numbered", "_decided")
        )
        self._apart = settings_apart(leans(source))

    def go_on(self) -> int:
        """Complete an interrupted replay, and return how many rows it moved; 0 if there was none."""
        exists = self._engine.storage.exists
        decided = self._read() if exists(self._numbered) and exists(self._decided) else None
        if decided is None:
            return 0
        with self._kept() as kept:
            again = kept if decided.once else None  # also None if other deployments' views are to see the rows now
            if again is not None and self._uuid() == decided.uuid:
                self._take_again(again)
            self._carry_out(decided, again)
        return decided.good - len(decided.refused)

    def run(self, tell: Callable[[Sequence[str]], None]) -> dict[str, int]:
        """Replay the quarantine; return how many rows were moved, and how many are left."""
        fitting = self._statements(self._quarantine).count
        body = self._engine.execute(fitting, output="JSONCompact", settings=self._apart).body
        good, rows = map(int, json.loads(body)["data"][0][:2])
        if not good:
            return {"rows": 0, "left": rows}
        tell([self._numbered, self._decided])
        self._number()
        with self._kept() as kept:
            refused = self._asked(kept, rows)
            decided = _Decided(good, refused, str(uuid.uuid4()), kept is not None, self._uuid())
            self._write(decided)
            self._carry_out(decided, kept)
        return {"rows": good - len(refused), "left": rows - good + len(refused)}

    def _carry_out(self, decided: _Decided, kept: Kept | None) -> None:
        """Move the rows; repeating it has no effect."""
        if self._uuid() == decided.uuid:  # else only the clean-up is left
            self._insert(decided, kept)
            self._exchange()
        self._engine.storage.drop((self._decided, self._numbered, self._replacement))

    def _insert(self, decided: _Decided, kept: Kept | None) -> None:
        if kept is not None:
            kept.write(decided.token)
            return
        if len(decided.refused) == decided.good:
            return
        settings: Settings = {**ONE_BLOCK, **self._apart, **once(decided.token)}
        statement = self._statements(self._taken()).good
        try:
            execute_patiently(self._engine, statement, settings)
        except EngineError as error:
            if not self._forwarding.sever(error):
                raise
            execute_patiently(self._engine, statement, settings)

    def _exchange(self) -> None:
        """Replace the quarantine by the rows that stay: unfitting ones, refused ones, and newly arrived ones."""
        engine, replacement = self._engine, self._replacement
        engine.storage.drop([replacement])
        engine.storage.create_like(replacement, self._quarantine)
        keep = self._statements(self._taken()).keep
        engine.execute(keep, output="Null", settings={**ONE_BLOCK, **self._apart})
        refused = f"SELECT * EXCEPT __row FROM {self._numbered} WHERE __row IN ({self._refused_rows})"
        engine.execute(f"INSERT INTO {replacement} {refused}", output="Null")
        engine.execute(f"INSERT INTO {replacement} {self._newer()}", output="Null")
        engine.storage.swap(self._quarantine, replacement)

    def _newer(self) -> str:
        """Return the SELECT of quarantined rows that arrived after the replay began."""
        columns = [*(c.name for c in self._source.columns), "c__error_column", "c__error", "c__import_id"]
        hashed = _HASH.format(columns=", ".join(map(quote_identifier, [*columns, self._source.quarantine_time])))
        nth = f"{hashed} AS __hash, row_number() OVER (PARTITION BY __hash) AS __nth"
        known = f"SELECT __hash, __nth FROM (SELECT {nth} FROM {self._numbered})"
        rows = f"SELECT *, {nth} FROM {self._quarantine}"
        return f"SELECT * EXCEPT (__hash, __nth) FROM ({rows}) WHERE (__hash, __nth) NOT IN ({known})"

    def _statements(self, rows: str, table: str = "") -> Replay:
        return build_replay(self._source, table or self._table, rows, self._replacement)

    @property
    def _refused_rows(self) -> str:
        return f"SELECT arrayJoin(refused) FROM {self._decided}"

    def _taken(self, where: str = "1") -> str:
        """Return SQL that reads as a table of the rows that are not refused."""
        taken = f"{where} AND __row NOT IN ({self._refused_rows})"
        return f"(SELECT * EXCEPT __row FROM {self._numbered} WHERE {taken})"

    def _number(self) -> None:
        """Create a copy of the quarantine with numbered rows."""
        self._engine.storage.drop((self._decided, self._numbered))
        sql = f"SELECT *, rowNumberInAllBlocks() AS __row FROM {self._quarantine}"
        create = f"CREATE TABLE {self._numbered} ENGINE = MergeTree ORDER BY __row AS {sql}"
        self._engine.execute(create, settings=IN_ORDER)

    def _write(self, decided: _Decided) -> None:
        columns = "good UInt64, refused Array(UInt64), token String, once Bool, quarantine String"
        self._engine.execute(f"CREATE TABLE {self._decided} ({columns}) ENGINE = MergeTree ORDER BY tuple()")
        values = "SELECT {good:UInt64}, {refused:Array(UInt64)}, {token:String}, {once:UInt8} = 1, {quarantine:String}"
        params: Params = {
            "good": decided.good,
            "refused": list(decided.refused),
            "token": decided.token,
            "once": int(decided.once),
            "quarantine": decided.uuid,
        }
        self._engine.execute(f"INSERT INTO {self._decided} {values}", params, output="Null")

    def _read(self) -> _Decided | None:
        body = self._engine.execute(f"SELECT * FROM {self._decided}", output="JSONCompact").body
        for good, refused, token, at_once, quarantine in json.loads(body)["data"]:
            return _Decided(int(good), [int(row) for row in refused], token, bool(at_once), quarantine)
        return None

    def _uuid(self) -> str:
        return self._engine.storage.identity(self._quarantine)

    @contextmanager
    def _kept(self) -> Iterator[Kept | None]:
        """Yield a copy that keeps rows if views may decide differently about them and no other views get them."""
        engine, live, name = self._engine, self._live, self._source.name
        once = is_uncertain(engine, live, name) and has_only_own_views(engine, live, name)
        kept = Kept(engine, live, name, f"replay_{self._owner}") if once else None
        try:
            yield kept
        finally:
            if kept is not None:
                kept.drop()

    def _asked(self, kept: Kept | None, rows: int) -> list[int]:
        """Return the numbers of the fitting rows that a view or the table refuses. Raises EngineError."""
        if kept is None:
            return self._refused(rows)

        def some(first: int, end: int) -> str:
            return self._statements(self._range(first, end)).good

        if kept.take(some(0, rows), self._apart) is None:
            return []
        return [one.row for one in kept.gather(some, rows, again=False, settings=self._apart)]

    def _take_again(self, kept: Kept) -> None:
        """Keep the rows that were accepted before. Raises EngineError."""
        rows = self._engine.storage.count(self._numbered)

        def some(first: int, end: int) -> str:
            return self._statements(self._taken(f"__row >= {first} AND __row < {end}")).good

        if kept.take(some(0, rows), self._apart) is not None:
            kept.gather(some, rows, again=True, settings=self._apart)

    def _range(self, first: int, end: int) -> str:
        return f"(SELECT * EXCEPT __row FROM {self._numbered} WHERE __row >= {first} AND __row < {end})"

    def _refused(self, rows: int) -> list[int]:
        probe = Probe(self._engine, self._live, self._source.name, f"replay_{self._owner}")
        settings: Settings = {**ONE_BLOCK, **self._apart}

        def look(first: int, end: int) -> tuple[str, str] | None:
            try:
                some = self._statements(self._range(first, end), probe.table).good
                execute_patiently(self._engine, some, settings)
            except EngineError as error:
                if is_passing(error):
                    raise
                return probe.refused_by(error)
            return None

        try:
            if look(0, rows) is None:
                return []
            return [one.row for one in narrow(look, rows, AT_ONCE)[0]]
        finally:
            probe.drop()
