"""ClickHouse inside this process, through chdb: one session per worker thread, one process per folder."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from clickpipe.engine.affinity import Apart
from clickpipe.engine.bad_parts import BadParts
from clickpipe.engine.damage import Inspector
from clickpipe.engine.encode import encode_params, insert_of_rows, settings_clause
from clickpipe.engine.outlet import Outlet, comes_out, pass_on
from clickpipe.engine.place import take_place
from clickpipe.engine.processes import memory, read_so_far, threads_of_cancelled
from clickpipe.engine.protocol import EngineError, Look, Params, QueryResult, ResultColumn, Settings
from clickpipe.engine.result_space import ResultSpace
from clickpipe.engine.sessions import DEFAULT_WORKERS, NO_TABLES, environment, forget_output, session_type
from clickpipe.engine.space import keep_definition, require_space
from clickpipe.engine.spool import Lines
from clickpipe.engine.storage import Storage
from clickpipe.engine.trees import tree_of, trees_of
from clickpipe.engine.unreadable import start_on_what_is_readable
from clickpipe.engine.versions import Versions
from clickpipe.engine.workers import Workers, patience

_DESCRIBED_WITHIN = 20  # seconds


class EmbeddedEngine:
    """The `Engine` on chdb. `path` is the data folder; None keeps everything in memory until close.

    chdb allows one data folder per process at a time: another one is refused until the first engine is closed.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        workers: int = DEFAULT_WORKERS,
        most_workers: int = 0,
        scratch: Path | None = None,
        sources: Collection[str] = (),
        ingests: bool = False,
        results_on_disk: int = 0,
    ) -> None:
        """Open the folder, creating it if needed. Raises EngineError if it cannot be opened.

        `workers` is the usual number of threads; up to `most_workers` are started if statements would have to wait.
        `scratch` is the folder for temporary files of an engine without a `path` (default: the system's).
        `sources` are the table functions from `COPY_SOURCES` that SQL may read. `lines` and `csv` need `ingests`.
        `results_on_disk` is for `ResultSpace`.
        """
        self._session_type = session_type()
        self._sessions: list[Any] = []
        self._local = threading.local()
        self._lock = threading.Lock()
        self._closed, self._bad = False, BadParts(path)
        with environment("TMPDIR", str(scratch) if scratch else None):
            start_on_what_is_readable(path, partial(self._start, path, sources, ingests=ingests))
        self._results, self._disk = ResultSpace(path or scratch, results_on_disk), path
        self._versions = Versions()
        self._inspector = Inspector(path, self._run_now, self._versions.ran)
        self.inspect = self._inspector.inspect
        self.storage = Storage(self, self._bad)
        self._pool = Workers(workers, "engine", most=most_workers, changed=self._rein_in)
        self.stuck, self.stuck_of, self.end_all = self._pool.stuck, self._pool.stuck_of, self._pool.end_all
        self.stuck_callers, self._apart = self._pool.stuck_callers, Apart()
        self._streams = threading.Semaphore(max(1, workers // 4))  # not all, for slow clients
        if self._place.unclean:
            self._inspector.start()
        self._readers = ThreadPoolExecutor(max(workers, most_workers), thread_name_prefix="engine-results")
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="engine-kill")  # kills never wait for a thread

    def _start(self, path: Path | None, sources: Collection[str], *, ingests: bool) -> None:
        self._place = take_place(path, sources, self._open, ingests=ingests)
        try:
            self._sessions.append(self._open(self._place.address))  # keeps the folder open, or fails now
        except BaseException:
            self._place.leave()
            raise

    def _open(self, address: str) -> Any:
        """Open a session in which unqualified names are no tables: in chdb's default database they are local files."""
        try:
            session = self._session_type(address)
            for statement in NO_TABLES:
                session.query(statement, "Null")
        except RuntimeError as error:
            raise EngineError(str(error)) from error
        return session

    def _session(self) -> Any:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._open(self._place.address)
            with self._lock:
                self._sessions.append(session)
        return session

    def execute(
        self, sql: str, params: Params | None = None, *, output: str = "JSON", settings: Settings | None = None
    ) -> QueryResult:
        """Run one statement on a worker and wait for its result. Raises EngineError."""
        return self._pool.result(self.submit(sql, params, output=output, settings=settings))

    def submit(
        self, sql: str, params: Params | None = None, *, output: str = "JSON", settings: Settings | None = None
    ) -> Future[QueryResult]:
        """Run one statement on a worker; the future raises EngineError."""
        text, values = sql + settings_clause(settings), encode_params(params or {})
        run = partial(self._query, text, values, output)
        return self._pool.submit(run, partial(self._kill, text), patience(sql, settings))

    def look(self) -> Look:
        """Return the last look at the number of writes that the system refused."""
        return self._inspector.last

    def _run_now(self, sql: str, output: str) -> bytes:
        with self._errors():
            return self._session().query(sql, output).bytes() or b""

    def _query(self, sql: str, params: dict[str, str], output: str, *, frequent: bool = False) -> QueryResult:
        since = self._inspector.begin(sql)
        require_space(self._disk, sql)
        with self._errors():
            try:
                result = self._session().query(sql, output, params=params)
            finally:
                self._versions.ran(sql)
            keep_definition(self._disk, sql, lambda undo: self._session().query(undo, "Null"))
        if since is not None:
            self._inspector.end(since, frequent=frequent)
        read = result.storage_rows_read(), result.storage_bytes_read()  # rows_read() counts rows of the result
        return QueryResult(result.bytes() or b"", *read, result.elapsed(), result.rows_read())

    def insert(self, table: str, columns: str, rows: bytes, settings: Settings) -> None:
        """Insert rows, one JSON array of column values per line. Raises EngineError."""
        sql = insert_of_rows(table, columns, rows, settings)
        self._pool.submit(partial(self._query, sql, {}, "Null", frequent=True), partial(self._kill, sql)).result()

    def load(self, table: str, format_: str, data: bytes) -> None:
        """Insert rows in one of ClickHouse's formats into a table without views. Raises EngineError."""
        sql = f"INSERT INTO {table}"
        self._pool.submit(partial(self._load, sql, format_, data), partial(self._kill, sql)).result()

    def _load(self, sql: str, format_: str, data: bytes) -> None:
        require_space(self._disk, sql)
        with self._errors(), self._session().send_insert(sql, format_) as inserting:
            inserting.append(data)
            inserting.finish()

    def cancel(self, tag: str) -> None:
        """Kill the running statements whose setting `log_comment` is `tag`; return without waiting."""
        sql = "KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC"
        with contextlib.suppress(RuntimeError):  # closed
            self._killer.submit(self._query, sql, encode_params({"tag": tag}), "Null")

    def memory(self) -> dict[str, int]:
        """Return the bytes of memory that each running statement uses, by its setting `log_comment`."""
        return memory(self._ask)

    def _ask(self, sql: str, params: dict[str, str], output: str) -> QueryResult:
        return self._killer.submit(self._query, sql, params, output).result()

    def _rein_in(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._killer.submit(lambda: self._apart.keep(threads_of_cancelled(self._query)))

    def _kill(self, text: str) -> None:
        """Kill the running statements with exactly this text."""
        sql = "KILL QUERY WHERE query = {text:String} ASYNC"
        with contextlib.suppress(RuntimeError):
            self._killer.submit(self._query, sql, encode_params({"text": text}), "Null")

    def stream(
        self, sql: str, params: Params | None = None, *, output: str, settings: Settings | None = None, whole: int
    ) -> Future[QueryResult]:
        """Run one SELECT as `submit` does; a result above `whole` bytes is streamed (`more`) if its format allows."""
        if not comes_out(sql):
            return self.submit(sql, params, output=output, settings=settings)
        settings = {"log_comment": uuid.uuid4().hex, **(settings or {}), "output_format_parallel_formatting": 0}
        promise: Future[QueryResult] = Future()
        outlets: list[Outlet] = []
        run = partial(self._stream, promise, outlets, whole, sql, encode_params(params or {}), output, settings)
        running = self._pool.submit(run, partial(self.cancel, str(settings["log_comment"])), patience(sql, settings))
        running.add_done_callback(lambda done: pass_on(done, promise, outlets))
        return promise

    def _stream(
        self,
        promise: Future[QueryResult],
        outlets: list[Outlet],
        whole: int,
        sql: str,
        params: dict[str, str],
        output: str,
        settings: Settings,
    ) -> None:
        if not promise.set_running_or_notify_cancel():
            return
        tag = str(settings["log_comment"])
        so_far, stop = partial(self._so_far, tag, time.perf_counter()), partial(self.cancel, tag)
        outlet = Outlet(promise, output, whole, self._results, self._may_send, so_far, stop, self._pool.task())
        outlets.append(outlet)
        reading = self._readers.submit(outlet.read)
        try:
            try:
                result = self._query(sql + outlet.clause + settings_clause(settings), params, output)
            finally:
                outlet.close()
            reading.result()
            outlet.succeed(result)
        except EngineError as error:
            reading.result()
            outlet.fail(outlet.told(error, sql))
        except OSError as error:
            outlet.fail(EngineError(f"a result cannot be kept until it is taken: {error.strerror}"))
        finally:
            if outlet.sends:
                self._streams.release()
            outlet.leave()

    def _may_send(self) -> bool:
        return self._streams.acquire(blocking=False)

    def _so_far(self, tag: str, began: float) -> QueryResult:
        """Return how much the running query with this tag has read."""
        return QueryResult(b"", *read_so_far(self._ask, tag), time.perf_counter() - began)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn chdb's exceptions into EngineError."""
        try:
            yield
        except Exception as error:
            if isinstance(error, UnicodeDecodeError):  # ClickHouse truncates messages in the middle of a character
                forget_output(self._session())
                raise EngineError(error.object.decode(errors="replace")) from error
            if not isinstance(error, RuntimeError) and type(error).__name__ != "ChdbError":
                raise
            forget_output(self._session())
            raise self._bad.heard(EngineError(str(error))) from error

    def versions(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return a counter of writes for each table (`database.table`)."""
        return self._versions.of(tables)

    def lines(self, batches: Sequence[Lines]) -> AbstractContextManager[str]:
        """Yield SQL that reads as a table `(import_id String, document String)` of these lines. Raises OSError."""
        assert self._place.spool is not None  # noqa: S101 - only called on engines that ingest
        return self._place.spool.lines(batches)

    def csv(
        self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False
    ) -> AbstractContextManager[str]:
        """Yield SQL that reads as a table `(f1 String, f2 String …)` of these records. Raises OSError, NoSlot."""
        assert self._place.spool is not None  # noqa: S101 - as above
        return self._place.spool.csv(records, fields, delimiter, any_number=any_number)

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        """Return the result columns of a SELECT. Raises EngineError."""
        limit: Settings = {"max_execution_time": _DESCRIBED_WITHIN}  # it runs scalar subqueries over constants
        result = self.execute(f"DESCRIBE (\n{sql}\n)", params, output="JSONCompact", settings=limit)
        return [ResultColumn(row[0], row[1]) for row in json.loads(result.body)["data"]]

    def syntax_tree(self, sql: str) -> str:
        """Return one statement's syntax tree as JSON, or `OTHER` if JSON cannot represent it. Raises EngineError.

        ClickHouse's parser gets the text as a value: nothing in it runs, and more than one statement is an error.
        """
        return tree_of(self.execute, sql)

    def syntax_trees(self, statements: Sequence[str]) -> list[str | EngineError]:
        """Return for each statement what `syntax_tree` returns, or the error that it raises."""
        return trees_of(self.execute, statements)

    def close(self) -> None:
        """Wait for running statements, then close every session."""
        if self._closed:
            return
        self._closed = True
        ended = self._pool.close()
        self._readers.shutdown(wait=True)
        self._killer.shutdown(wait=True)
        if not ended:
            return  # a session with a running statement cannot be closed; the process's end does
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._place.leave()
