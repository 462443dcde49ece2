"""ClickHouse in this process, through chdb: one session for each worker thread, one process for each folder."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from clickpipe.engine.damage import Inspector
from clickpipe.engine.encode import encode_params, insert_of_rows, settings_clause
from clickpipe.engine.outlet import Outlet, comes_out
from clickpipe.engine.place import take_place
from clickpipe.engine.protocol import EngineError, Look, Params, QueryResult, ResultColumn, Settings
from clickpipe.engine.sessions import DEFAULT_WORKERS, NO_TABLES, environment, forget_output, session_type
from clickpipe.engine.space import keep_definition, require_space
from clickpipe.engine.spool import Lines
from clickpipe.engine.storage import Storage
from clickpipe.engine.trees import tree_of, trees_of
from clickpipe.engine.versions import Versions
from clickpipe.engine.workers import Workers, patience

_DESCRIBED_WITHIN = 20  # seconds


class EmbeddedEngine:
    """The `Engine` on chdb. `path` is the data folder; None keeps everything in memory until close.

    chdb allows one data folder in a process at a time, so a second engine on another folder is
    refused until the first is closed.
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
    ) -> None:
        """Open the folder (made when absent). Raises EngineError when it cannot be opened.

        `workers` statements run at once, and up to `most_workers` where one would have to wait for others.
        `scratch` is where an engine without a folder makes its files, if not where all temporary files are;
        `sources` are the table functions of `COPY_SOURCES` that may be read. Only one that `ingests` has `lines`.
        """
        self._session_type = session_type()
        self._sessions: list[Any] = []
        self._local = threading.local()
        self._lock = threading.Lock()
        self._closed = False
        with environment("TMPDIR", str(scratch) if scratch else None):
            self._place = take_place(path, sources, self._open, ingests=ingests)
            try:
                self._sessions.append(self._open(self._place.address))  # keeps the folder open, and fails here
            except BaseException:
                self._place.leave()
                raise
        self._folder = path or scratch
        self._disk = path
        self._versions = Versions()
        self._inspector = Inspector(path, self._run_now, self._versions.ran)
        self.inspect = self._inspector.inspect
        self.storage = Storage(self)
        self._pool = Workers(workers, "engine", most=most_workers)
        self.stuck, self.stuck_of = self._pool.stuck, self._pool.stuck_of
        self._streams = threading.Semaphore(max(1, workers // 4))  # so that slow clients do not hold all workers
        if self._place.unclean:
            self._inspector.start()
        self._readers = ThreadPoolExecutor(max(workers, most_workers), thread_name_prefix="engine-results")
        self._killer = ThreadPoolExecutor(1, thread_name_prefix="engine-kill")  # there is to be one free

    def _open(self, address: str) -> Any:
        """Open a session in which a name without a database is no table: chdb's own takes it for a file of the host."""
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
        """Run one statement on a worker and wait for it. Raises EngineError."""
        return self._pool.result(self.submit(sql, params, output=output, settings=settings))

    def submit(
        self, sql: str, params: Params | None = None, *, output: str = "JSON", settings: Settings | None = None
    ) -> Future[QueryResult]:
        """Run one statement on a worker; the future raises EngineError."""
        text, values = sql + settings_clause(settings), encode_params(params or {})
        run = partial(self._query, text, values, output)
        return self._pool.submit(run, partial(self._kill, text), patience(sql, settings))

    def look(self) -> Look:
        """Return the last look at the writes that the system refused."""
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
        read = result.storage_rows_read(), result.storage_bytes_read()  # rows_read() counts the result's rows
        return QueryResult(result.bytes() or b"", *read, result.elapsed(), result.rows_read())

    def insert(self, table: str, columns: str, rows: bytes, settings: Settings) -> None:
        """Insert rows, each a JSON array of the columns' values on a line of its own. Raises EngineError."""
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
        """End the statements that run with the setting `log_comment` = `tag`; returns at once."""
        sql = "KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC"
        with contextlib.suppress(RuntimeError):  # closed
            self._killer.submit(self._query, sql, encode_params({"tag": tag}), "Null")

    def _kill(self, text: str) -> None:
        """End the statements of this text."""
        sql = "KILL QUERY WHERE query = {text:String} ASYNC"
        with contextlib.suppress(RuntimeError):
            self._killer.submit(self._query, sql, encode_params({"text": text}), "Null")

    def stream(
        self, sql: str, params: Params | None = None, *, output: str, settings: Settings | None = None, whole: int
    ) -> Future[QueryResult]:
        """Run one SELECT as `submit` does; a result of more than `whole` bytes has `more`, where the format can."""
        if not comes_out(sql):
            return self.submit(sql, params, output=output, settings=settings)
        settings = {"log_comment": uuid.uuid4().hex, **(settings or {}), "output_format_parallel_formatting": 0}
        promise: Future[QueryResult] = Future()
        outlets: list[Outlet] = []
        run = partial(self._stream, promise, outlets, whole, sql, encode_params(params or {}), output, settings)
        kill = partial(self.cancel, str(settings["log_comment"]))
        running = self._pool.submit(run, kill, patience(sql, settings))
        running.add_done_callback(lambda done: _pass_on(done, promise, outlets))
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
        began, tag = time.perf_counter(), str(settings["log_comment"])

        def so_far() -> QueryResult:
            return replace(self._so_far(tag), elapsed=time.perf_counter() - began)

        stop = partial(self.cancel, tag)
        outlet = Outlet(promise, output, whole, self._folder, self._may_send, so_far, stop, self._pool.task())
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

    def _so_far(self, tag: str) -> QueryResult:
        """Return how much a query has read that runs with a tag."""
        sql = (
            "SELECT sum(read_rows), sum(read_bytes) FROM system.processes WHERE Settings['log_comment'] = {tag:String}"
        )
        rows, size = self._killer.submit(self._query, sql, {"tag": tag}, "TSV").result().body.split()
        return QueryResult(b"", int(rows), int(size), 0.0)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise what chdb raises in a query as EngineError."""
        try:
            yield
        except Exception as error:
            if isinstance(error, UnicodeDecodeError):  # ClickHouse cuts its texts at any byte
                forget_output(self._session())
                raise EngineError(error.object.decode(errors="replace")) from error
            if not isinstance(error, RuntimeError) and type(error).__name__ != "ChdbError":
                raise
            forget_output(self._session())
            raise EngineError(str(error)) from error

    def versions(self, tables: Sequence[str]) -> tuple[int, ...]:
        """Return how often tables (`database.table`) were written to."""
        return self._versions.of(tables)

    def lines(self, batches: Sequence[Lines]) -> AbstractContextManager[str]:
        """Give SQL of a table `(import_id String, document String)` with these lines. Raises OSError."""
        assert self._place.spool is not None  # noqa: S101 - asked of engines that ingest
        return self._place.spool.lines(batches)

    def csv(
        self, records: bytes, fields: int, delimiter: str, *, any_number: bool = False
    ) -> AbstractContextManager[str]:
        """Give SQL of a table `(f1 String, f2 String …)` with these records. Raises OSError, NoSlot."""
        assert self._place.spool is not None  # noqa: S101 - as above
        return self._place.spool.csv(records, fields, delimiter, any_number=any_number)

    def describe(self, sql: str, params: Params | None = None) -> list[ResultColumn]:
        """Return the result columns of a SELECT. Raises EngineError."""
        limit: Settings = {"max_execution_time": _DESCRIBED_WITHIN}  # ClickHouse runs scalar subqueries of constants
        result = self.execute(f"DESCRIBE (\n{sql}\n)", params, output="JSONCompact", settings=limit)
        return [ResultColumn(row[0], row[1]) for row in json.loads(result.body)["data"]]

    def syntax_tree(self, sql: str) -> str:
        """Return the tree of one statement, as JSON; `OTHER` for those that have no form in it. Raises EngineError.

        The text goes to ClickHouse's parser as a value: nothing in it is run, and more than one statement is an error.
        """
        return tree_of(self.execute, sql)

    def syntax_trees(self, statements: Sequence[str]) -> list[str | EngineError]:
        """Return what `syntax_tree` gives for each statement, or the error it raises."""
        return trees_of(self.execute, statements)

    def close(self) -> None:
        """Wait for what runs, then close every session."""
        if self._closed:
            return
        self._closed = True
        ended = self._pool.close()
        self._readers.shutdown(wait=True)
        self._killer.shutdown(wait=True)
        if not ended:
            return  # sessions cannot be closed while a statement runs: they end with the process
        for session in self._sessions:
            session.close()
        self._sessions.clear()
        self._place.leave()


def _pass_on(done: Future[None], promise: Future[QueryResult], outlets: Sequence[Outlet]) -> None:
    """Give a promise the error of what was to keep it; a cancelled promise cancels nothing here."""
    error = done.exception() if not done.cancelled() else RuntimeError("the engine was closed")
    if isinstance(error, EngineError) and outlets:
        outlets[0].give_up(error)
    elif error is not None and not promise.done():
        promise.set_exception(error)
